"""Which models saw a patient, in which fold, by which images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import split
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.split import FOLDS
from glassbox.params.document import checked
from glassbox.params.read import values
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class Sighting(NamedTuple):
    """A patient in a fold of an experiment's split."""

    experiment: str
    fold: str  #: Trained on, validated on or tested on.
    patient_id: str
    images: list[str]  #: The patient's there, in the order of the fold.


class Sightings(NamedTuple):
    """What the folds at hand say, and which were not at hand."""

    found: list[Sighting]  #: By experiment, fold and patient.
    unread: list[Path]  #: Tables of folds that are missing or damaged, each once.


def seen_by(source: str, patients: Collection[str]) -> Sightings:
    """Which experiments of params.yaml have a patient of a source in a fold, as the folds in data/ say it.

    Whoever is in a training fold counts as seen, though an experiment may train on a part of it: all are in the
    fold's mean and deviation.

    Args:
        source: Key of the source.
        patients: Ids of patients.

    Raises:
        ParamsError: params.yaml is missing or wrong.
    """
    params = checked(values(), str(PARAMS))
    found: list[Sighting] = []
    unread: dict[Path, None] = {}
    for name, experiment in params.experiments.items():
        if params.splits[experiment.split].source != source:
            continue
        for fold in FOLDS:
            try:
                rows = split.read(experiment.split, fold)
            except ArtifactError:
                unread[split.path(experiment.split, fold)] = None
                continue
            theirs = rows[rows["patient_id"].isin(patients)]
            found += [
                Sighting(name, fold, patient, images.tolist())
                for patient, images in theirs.groupby("patient_id")["image_id"]
            ]
    return Sightings(found, list(unread))
