"""The evaluate stage: predictions and histories in, scores and figures out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from glassbox import layout
from glassbox.assessment import figures, history, predictions, scores
from glassbox.assessment.intervals import bootstrap
from glassbox.errors import ReportError
from glassbox.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from glassbox.assessment.predictions import Predictions
    from glassbox.params import Params


def evaluate(params: Params, experiment: str) -> None:
    """Scores an experiment's predictions and draws them into `metrics/<experiment>/`.

    Writes `scores.json`, `confusion.csv`, `confusion.png`, `roc.csv`, `roc.png` and `curves.png`, the same
    bytes for the same predictions; nothing is written when something is refused.

    Args:
        params: All parameters.
        experiment: Key of one of its experiments.

    Raises:
        ReportError: Predictions or history are missing, damaged or cannot be scored.
    """
    evaluation = params.experiments[experiment].evaluation
    folder = layout.predictions(experiment)
    variants = {variant: predictions.read(folder / f"{variant}.parquet") for variant in layout.VARIANTS}
    _refuse_unlike(experiment, variants)
    trained = history.read(layout.models(experiment) / "history.csv")

    measured = {
        variant: scores.score(predicted, bootstrap(predicted, evaluation))
        for variant, predicted in variants.items()
    }
    confusions = {variant: scores.confusion(predicted) for variant, predicted in variants.items()}
    curves = {variant: scores.roc(predicted) for variant, predicted in variants.items()}
    classes = variants[layout.VARIANTS[0]].classes

    out = layout.metrics(experiment)
    scores.write(out / "scores.json", measured)
    _write_csv(
        out / "confusion.csv",
        ("variant", "truth", "prediction", "images"),
        (
            (variant, truth, prediction, matrix[i, j])
            for variant, matrix in confusions.items()
            for i, truth in enumerate(classes)
            for j, prediction in enumerate(classes)
        ),
    )
    _write_csv(
        out / "roc.csv",
        ("variant", "false_positive_rate", "true_positive_rate", "threshold"),
        (
            (variant, *(f"{number:.6f}" for number in corner))
            for variant, curve in curves.items()
            for corner in zip(*curve, strict=True)
        ),
    )
    figures.draw_confusion(out / "confusion.png", classes, confusions)
    figures.draw_roc(out / "roc.png", curves, measured, evaluation.confidence)
    figures.draw_curves(out / "curves.png", trained)


def _refuse_unlike(experiment: str, variants: dict[str, Predictions]) -> None:
    """Refuses variants of different images or labels: their difference would not be augmentation's."""
    clean, *others = variants.items()
    for name, other in others:
        if other.classes != clean[1].classes or _labelled(other) != _labelled(clean[1]):
            raise ReportError(
                f"{layout.predictions(experiment)}: {name} has other images, patients, classes or labels "
                f"than {clean[0]}",
                "the same test fold in every variant",
                f"run `dvc repro --force predict@{experiment}`",
            )


def _labelled(predicted: Predictions) -> list[tuple[str, int, int]]:
    """Every image with its patient and its label, in the order of the images' names."""
    columns = (predicted.images.tolist(), predicted.patients.tolist(), predicted.truth.tolist())
    return sorted(zip(*columns, strict=True))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
