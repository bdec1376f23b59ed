"""The recipe of an experiment, as each stage that works on it needs it: resolved once, one small file a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from glassbox.artifacts import document
from glassbox.files import atomic
from glassbox.params.base import Frozen, Key, Task
from glassbox.params.experiments import Augmentation, EarlyStopping, Evaluation, Model, Phase, PhaseName, Training
from glassbox.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

R = TypeVar("R", bound=Frozen)


class PhaseRecipe(Frozen):
    """A phase of training, as it runs: with the images and frozen layers that a grid chose, where one does."""

    experiment: Key
    task: Task
    #: Whose folds it sees, the dataset of which holds their pixels.
    split: Key
    dataset: Key
    weights: Key
    model: Model
    augmentation: Augmentation
    training: Training
    phase: Phase


class PredictRecipe(Frozen):
    """What predictions are made of, the model aside."""

    split: Key
    dataset: Key
    #: From which the augmented test set is drawn.
    augmentation: Augmentation
    training: Training


class EvaluateRecipe(Frozen):
    """How predictions and histories are scored."""

    task: Task
    evaluation: Evaluation
    #: Of the fine-tuning: it says which epoch's weights the model has.
    early_stopping: EarlyStopping | None


def folder(experiment: str) -> Path:
    """Where the files of an experiment's recipe lie."""
    return DATA / "recipes" / experiment


def write(experiment: str, consumers: Mapping[str, Frozen]) -> None:
    """Writes what each consumer needs, as one folder."""
    with atomic(folder(experiment)) as temporary:
        temporary.mkdir()
        for name, needed in consumers.items():
            document.write(temporary / f"{name}.json", needed.model_dump(mode="json"), f"recipe@{experiment}")


def read(experiment: str, consumer: str, kind: type[R]) -> R:
    """What the recipe stage wrote for a consumer, the name of a file without its suffix."""
    return document.read_typed(folder(experiment) / f"{consumer}.json", f"recipe@{experiment}", kind)


def phase(experiment: str, name: PhaseName) -> PhaseRecipe:
    """The recipe of a phase of an experiment."""
    return read(experiment, name, PhaseRecipe)
