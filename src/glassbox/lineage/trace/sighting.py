"""What came of a trace: the models that saw a patient or an image, how each saw it, and what could not be read."""

from __future__ import annotations

from typing import NamedTuple

from glassbox.lineage.trace.registered import Run
from glassbox.params.base import Frozen
from glassbox.params.experiments import PhaseName


class OfGrid(Frozen):
    """How the cells of the grid saw it, among which an experiment's images and frozen layers were chosen."""

    grid: str
    cells: int  #: How many the grid has.
    trained: int  #: How many of them were shown it.
    shown: dict[str, int]  #: Image of their training fold -> how often all cells together were shown it.
    validation: tuple[str, ...]  #: Images that all cells were judged by.


class Sighting(Frozen):
    """A model that saw it."""

    experiment: str
    phase: PhaseName
    split: str
    model_md5: str
    model_sha256: str | None  #: None where its record cannot be read.
    revisions: tuple[str, ...]  #: Commits that recorded it, the newest first, or `workspace`.
    dvc_experiments: tuple[str, ...]  #: Names of DVC's experiments among them.
    train: tuple[str, ...]  #: Images of its training fold.
    #: Image of those -> phase -> how often it was shown; None where that cannot be counted.
    shown: dict[str, dict[str, int]] | None
    validation: tuple[str, ...]  #: Images that decided when to stop.
    grids: tuple[OfGrid, ...]  #: Grids whose choice it follows, where they saw it.
    test: tuple[str, ...]  #: Images that it was tested on.
    runs: tuple[Run, ...]  #: Of MLflow.


class Unread(Frozen):
    """What could not be read: whether the models named here saw it, or how often, is not known."""

    found: str
    action: str
    models: tuple[str, ...]  #: Each as stage and MD5.
    revisions: tuple[str, ...]  #: Which recorded them, as in `Sighting`.


class Gone(Frozen):
    """Tables that an erasure removed: who else was in them nobody can say any more."""

    ledger: str  #: Which says so.
    models: tuple[str, ...]  #: That saw them, each as stage and MD5.
    revisions: tuple[str, ...]  #: Which recorded them, as in `Sighting`.


class Traced(Frozen):
    """What is known of it in one source."""

    source: str
    images: tuple[str, ...]  #: All of its images that any table names.
    models: tuple[Sighting, ...]


class Trace(NamedTuple):
    """What came of it."""

    kind: str  #: `patient` or `image`.
    id: str
    sources: list[Traced]
    recorded: int  #: How many models there are on record, those that could not be read among them.
    unread: list[Unread]
    #: Why MLflow said nothing; empty where it was asked.
    without_mlflow: str
    gone: list[Gone]
    #: Source -> the ledger, of those from which this patient was erased, as far as the key is at hand to say so.
    erased: dict[str, str]
