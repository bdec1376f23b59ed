"""A trained model on disk: its file, its history, and the record of what it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.artifacts import damage, document, history, split, weights
from glassbox.files import fingerprint, sha256_file
from glassbox.params.base import Frozen
from glassbox.paths import MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from glassbox.artifacts.history import Epoch
    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.experiments import PhaseName

#: What says how a phase is trained, beside its block.
_SETTINGS = {"split", "dataset", "weights", "model", "augmentation", "training"}
#: What each phase leaves in `folder`: the model, its history, and the record of both.
_NAMES: dict[PhaseName, tuple[str, str, str]] = {
    "warm_start": ("warm_start.keras", "warm_start.csv", "warm_start.json"),
    "fine_tune": ("model.keras", "history.csv", "lineage.json"),
}


class Files(NamedTuple):
    """Where a phase leaves its model, its history and the record of what they were made from."""

    model: Path
    history: Path
    lineage: Path


class Lineage(Frozen):
    """What a model was made from. Two trainings with one fingerprint give the same bytes."""

    experiment: str
    fingerprint: str
    #: The recipe, as it ran.
    params: dict[str, Any]
    #: SHA-256 of the folds it saw, of their statistics, and of the initial weights and model.
    data: dict[str, str]
    #: Stage -> the digest of the code that it can reach and of the packages that this imports.
    code: dict[str, str]
    #: The installed versions.
    packages: dict[str, str]
    #: The kind of machine.
    machine: dict[str, str | int | bool]
    model_sha256: str
    history_sha256: str


def folder(experiment: str) -> Path:
    """Where the models of an experiment lie."""
    return MODELS / experiment


def files(experiment: str, phase: PhaseName = "fine_tune") -> Files:
    """The files of a phase of an experiment."""
    return Files(*(folder(experiment) / name for name in _NAMES[phase]))


def settings(recipe: PhaseRecipe, phase: PhaseName) -> dict[str, Any]:
    """What a `Lineage` says of a phase in `params`."""
    shared = recipe.model_dump(mode="json", include=_SETTINGS)
    return {**shared, phase: recipe.phase.model_dump(mode="json")}


def seen(recipe: PhaseRecipe) -> dict[str, str]:
    """SHA-256 of what a training sees: two folds of its split, their statistics, the initial weights.

    Raises:
        ArtifactError: Some of it is missing. Weights are compared with theirs when they are loaded.
    """
    return {**split.training_hashes(recipe.split), "weights_sha256": weights.sha256_of(recipe.weights)}


def made_from(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What a model is made from, with the fingerprint of it.

    Args:
        origin: The fields of a `Lineage` but for the fingerprint and the two SHA-256 of what came out.
    """
    return {**origin, "fingerprint": fingerprint(dict(origin))}


def write_lineage(experiment: str, phase: PhaseName, origin: Mapping[str, Any]) -> Lineage:
    """Writes the record of a model and a history that lie there already; `origin` is as `made_from` gives it."""
    at = files(experiment, phase)
    hashes = {"model_sha256": sha256_file(at.model), "history_sha256": sha256_file(at.history)}
    lineage = Lineage.model_validate({**origin, **hashes})
    document.write(at.lineage, lineage.model_dump(mode="json"), f"{phase}@{experiment}")
    return lineage


def read_lineage(experiment: str, phase: PhaseName = "fine_tune") -> Lineage:
    """The record of a model."""
    return document.read_typed(files(experiment, phase).lineage, f"{phase}@{experiment}", Lineage)


def verified(lineage: Lineage, phase: PhaseName = "fine_tune") -> Path:
    """The model file, once it is the one of its record."""
    path = files(lineage.experiment, phase).model
    damage.verify(path, lineage.model_sha256, f"{phase}@{lineage.experiment}")
    return path


def read_history(lineage: Lineage, phase: PhaseName = "fine_tune") -> list[Epoch]:
    """The epochs of a training, once the file is the one of its record."""
    path = files(lineage.experiment, phase).history
    return history.read(path, lineage.history_sha256, f"{phase}@{lineage.experiment}")
