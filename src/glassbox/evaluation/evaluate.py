"""The evaluate stage: predictions and histories in, scores and figures out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from glassbox.artifacts import evaluation, model, recipe
from glassbox.artifacts import predictions as predicted_files
from glassbox.artifacts.recipe import EvaluateRecipe
from glassbox.evaluation import confusion, learning_curves, predictions, roc, scores
from glassbox.evaluation.intervals import bootstrap
from glassbox.evaluation.predictions import EvaluationError
from glassbox.files import write_json, write_text
from glassbox.params.experiments import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from glassbox.evaluation.predictions import Predictions

#: What is written into `metrics/<experiment>/`.
FILES = [
    evaluation.SCORES,
    "validation.json",
    evaluation.MACHINE,
    "confusion.csv",
    "confusion.png",
    "roc.csv",
    "roc.png",
    "curves.png",
]


def evaluate(experiment: str) -> None:
    """Scores an experiment's predictions and plots them into `metrics/<experiment>/`.

    Writes `scores.json`, `validation.json`, `machine.json`, `confusion.csv`, `confusion.png`, `roc.csv`, `roc.png`
    and `curves.png`, the same bytes for the same predictions, and the record of them all; nothing is written when
    something is refused.

    Raises:
        ArtifactError: The recipe, the model's record, predictions or history are missing or damaged.
        EvaluationError: Predictions cannot be scored.
    """
    settings, lineage = recipe.read(experiment, "evaluate", EvaluateRecipe), model.read_lineage(experiment)
    variants = {
        variant: predictions.read(experiment, variant, settings.task, lineage.model_sha256) for variant in VARIANTS
    }
    _refuse_unlike(experiment, variants)
    epochs = model.read_history(lineage)

    measured = {
        variant: scores.score(predicted, bootstrap(predicted, settings.evaluation))
        for variant, predicted in variants.items()
    }
    out = evaluation.folder(experiment)
    evaluation.write_scores(experiment, measured)
    write_json(out / "validation.json", learning_curves.kept(epochs, settings.early_stopping))
    evaluation.write_machine(experiment, lineage.machine)
    _write_csv(out / "confusion.csv", confusion.rows(variants))
    _write_csv(out / "roc.csv", roc.rows(variants))
    confusion.plot(out / "confusion.png", variants, measured)
    roc.plot(out / "roc.png", variants, measured, settings.evaluation.confidence)
    learning_curves.plot(out / "curves.png", epochs)
    evaluation.write(experiment, lineage.model_sha256, FILES)


def _refuse_unlike(experiment: str, variants: dict[str, Predictions]) -> None:
    """Refuses variants of different images or labels: their difference would not be augmentation's."""
    clean, *others = variants
    for name in others:
        if _fold(variants[name]) != _fold(variants[clean]):
            raise EvaluationError(
                f"{predicted_files.folder(experiment)}: {name} has other images, patients, classes or labels "
                f"than {clean}",
                "the same test fold in every variant",
                f"run `dvc repro --force predict@{experiment}`",
            )


def _fold(predicted: Predictions) -> tuple[object, ...]:
    """The classes, and every image with its patient and its labels, in the order of the images' names."""
    columns = (predicted.images.tolist(), predicted.patients.tolist(), predicted.labels.tolist())
    return predicted.classes, sorted(zip(*columns, strict=True))


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_text(path, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6f"))
