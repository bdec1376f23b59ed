"""The record of a model: everything that an audit found out and verified, from which every document is written."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

from glassbox.artifacts.leaks import Leak
from glassbox.params.base import Frozen, Key, Sha256

#: What a record has instead of a SHA-256 where random initial weights are meant.
RANDOM = "none"
#: Columns of `Record.images`, as text but for `draws`, `shown` and `row`. `draws` is how often the split shows an
#: image in a pass over its fold, `shown` how often this model's training did so in all: 0 outside of its own fold.
COLUMNS = ("image_id", "patient_id", "fold", "draws", "shown", "source_sha256", "pixels_sha256", "shard", "row")
#: Parts of a recipe that may say where a file of the user's lies.
_LOCAL = ("source", "weights")
#: What is counted of a `Fold`.
_COUNTED = ("patients", "images", "draws", "shown", "shown_images", "shown_patients")


class File(Frozen):
    """A file and its digests, in hexadecimal."""

    #: From the root of the project, with slashes.
    path: str
    bytes: NonNegativeInt
    #: DVC's name for it.
    md5: str
    sha256: Sha256


class Archive(Frozen):
    """The zip of a source, as `metrics/sources/<source>.json` has it."""

    source: Key
    #: `kaggle`, `archive` or `phantom`.
    kind: str
    #: Of Kaggle: the dataset, its version and its licence.
    ref: str | None = None
    version: PositiveInt | None = None
    licence: str | None = None
    bytes: NonNegativeInt
    sha256: Sha256
    #: How many files it holds, and one digest of their names and contents.
    members: NonNegativeInt
    members_sha256: Sha256


class Weights(Frozen):
    """Initial weights."""

    name: Key
    #: `imagenet`, `file`, `pretraining` or `none`.
    kind: str
    #: Of their file; `none` where random ones are meant.
    sha256: str


class Output(Frozen):
    """A file or folder that a stage made, by dvc.lock."""

    #: As `dvc repro` takes it.
    stage: str
    path: str
    #: Of a folder it ends in `.dir` and is that of DVC's list of its files.
    md5: str
    bytes: NonNegativeInt
    #: In a folder; None of a single file.
    files: NonNegativeInt | None = None


class Fold(Frozen):
    """A fold, counted."""

    fold: str
    patients: NonNegativeInt
    images: NonNegativeInt
    #: How many images the split shows in a pass, each as often as it is drawn.
    draws: NonNegativeInt
    #: How many images the model was trained on in all its epochs, each as often as it was shown; 0 for a fold that
    #: is none to train on.
    shown: NonNegativeInt
    #: How many images that were, and of how many patients: `training.images`, or few steps, leave some out.
    shown_images: NonNegativeInt
    shown_patients: NonNegativeInt
    #: Class -> images.
    classes: dict[str, NonNegativeInt]


class Record(Frozen):
    """What made a model, and what it was measured to do.

    Raises:
        ValueError: `images` has other columns than `COLUMNS`, no row, or other counts than `folds`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    experiment: Key
    title: str
    #: The commit whose dvc.lock holds the model, in hexadecimal; None where there is none yet.
    revision: str | None
    #: Of everything the model was made from, as its lineage.json has it.
    fingerprint: Sha256
    model: File
    history: File
    lineage: File
    #: By their names in params.yaml, as `artifacts.experiment.flat` gives them.
    params: dict[str, str]
    #: The resolved experiment (`artifacts.experiment.Resolved`), as JSON and `portable`.
    recipe: dict[str, Any]
    #: SHA-256 of the folds that were seen, of their statistics, of initial weights and model: `train_sha256`, ...
    data: dict[str, str]
    #: Stage -> path of a module -> the digest of what it does.
    code: dict[str, dict[str, str]]
    #: Name of a distribution -> the version that was installed.
    packages: dict[str, str]
    #: Name -> SHA-256 of the files that uv.lock lets it be installed from: which was depends on the system.
    packages_sha256: dict[str, list[Sha256]] = Field(default={})
    #: The kind of machine.
    machine: dict[str, str | int | bool]
    archives: list[Archive]
    weights: Weights
    #: Every artifact in the chain.
    outputs: list[Output]
    folds: list[Fold]
    #: Every pair of folds and kind, those that share nothing included.
    leaks: list[Leak]
    #: Images of the dataset that could not be read.
    rejected: NonNegativeInt
    #: Images that were left out because they, or their patient, are withdrawn.
    withdrawn: NonNegativeInt
    #: `metrics/<experiment>/scores.json`; empty where nothing was measured.
    scores: dict[str, Any]
    #: One row an image and fold, as `COLUMNS`; no part of the record's JSON.
    images: pd.DataFrame = Field(exclude=True, repr=False)
    #: uv.lock at that revision.
    uv_lock: File | None = None

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if tuple(self.images.columns) != COLUMNS or self.images.empty:
            found = f"{len(self.images)} rows of {', '.join(self.images.columns)}"
            raise ValueError(f"images: {found}, where some rows of {', '.join(COLUMNS)} are expected")
        counted = {str(fold): counts(rows) for fold, rows in self.images.groupby("fold")}
        stated = {
            fold.fold: {name: getattr(fold, name) for name in _COUNTED} for fold in self.folds if fold.images
        }
        if counted != stated:
            raise ValueError(f"images: their counts are {counted}, and of the folds {stated}")
        return self


def portable(recipe: dict[str, Any]) -> dict[str, Any]:
    """A resolved experiment as JSON without the paths at which a zip or weights lie: their SHA-256 says which."""
    local = {part: {name: of for name, of in recipe[part].items() if name != "path"} for part in _LOCAL}
    return {**recipe, **local}


def counts(rows: pd.DataFrame) -> dict[str, int]:
    """The counts of a `Fold`, by their names, of its rows of `Record.images`."""
    shown = rows[rows["shown"] > 0]
    return {
        "patients": rows["patient_id"].nunique(),
        "images": len(rows),
        "draws": int(rows["draws"].sum()),
        "shown": int(shown["shown"].sum()),
        "shown_images": len(shown),
        "shown_patients": shown["patient_id"].nunique(),
    }
