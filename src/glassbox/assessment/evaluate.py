"""The evaluate stage: predictions and histories in, scores and figures out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import evaluation, machine, model, recipe
from glassbox.artifacts import predictions as predicted_files
from glassbox.artifacts import scores as artifact
from glassbox.artifacts.recipe import EvaluateRecipe
from glassbox.artifacts.scores import VARIANTS
from glassbox.assessment import confusion, curves, predictions, roc, scores
from glassbox.assessment.errors import ReportError
from glassbox.assessment.history import History
from glassbox.assessment.intervals import bootstrap
from glassbox.files import write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from glassbox.assessment.predictions import Predictions

#: What is written into `metrics/<experiment>/`.
FILES = [
    artifact.NAME,
    "validation.json",
    "machine.json",
    "confusion.csv",
    "confusion.png",
    "roc.csv",
    "roc.png",
    "curves.png",
]


def evaluate(experiment: str) -> None:
    """Scores an experiment's predictions and draws them into `metrics/<experiment>/`.

    Writes `scores.json`, `validation.json`, `machine.json`, `confusion.csv`, `confusion.png`, `roc.csv`, `roc.png`
    and `curves.png`, the same bytes for the same predictions, and the record of them all; nothing is written when
    something is refused.

    Raises:
        ArtifactError: The recipe, the model's record, predictions or history are missing or damaged.
        ReportError: Predictions cannot be scored.
    """
    settings, lineage = recipe.read(experiment, "evaluate", EvaluateRecipe), model.read_lineage(experiment)
    variants = {
        variant: predictions.read(experiment, variant, settings.task, lineage.model_sha256) for variant in VARIANTS
    }
    _refuse_unlike(experiment, variants)
    trained = History.of(model.read_history(lineage))

    measured = {
        variant: scores.score(predicted, bootstrap(predicted, settings.evaluation))
        for variant, predicted in variants.items()
    }
    out = evaluation.folder(experiment)
    artifact.write(out / artifact.NAME, measured)
    write_json(out / "validation.json", trained.kept(settings.early_stopping))
    machine.write(experiment, lineage.machine)
    _write_csv(
        out / "confusion.csv",
        ("variant", "truth", "prediction", "images"),
        ((variant, *row) for variant, predicted in variants.items() for row in confusion.rows(predicted)),
    )
    _write_csv(out / "roc.csv", roc.header(settings.task), roc.rows(variants))
    confusion.draw(out / "confusion.png", variants, measured)
    roc.draw(out / "roc.png", variants, measured, settings.evaluation.confidence)
    curves.draw(out / "curves.png", trained)
    evaluation.write(experiment, lineage.model_sha256, FILES)


def _refuse_unlike(experiment: str, variants: dict[str, Predictions]) -> None:
    """Refuses variants of different images or labels: their difference would not be augmentation's."""
    clean, *others = variants.items()
    for name, other in others:
        if other.classes != clean[1].classes or _labelled(other) != _labelled(clean[1]):
            raise ReportError(
                f"{predicted_files.folder(experiment)}: {name} has other images, patients, classes or labels "
                f"than {clean[0]}",
                "the same test fold in every variant",
                f"run `dvc repro --force predict@{experiment}`",
            )


def _labelled(predicted: Predictions) -> list[tuple[str, int, list[bool]]]:
    """Every image with its patient and its labels, in the order of the images' names."""
    columns = (predicted.images.tolist(), predicted.patients.tolist(), predicted.labels.tolist())
    return sorted(zip(*columns, strict=True))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
