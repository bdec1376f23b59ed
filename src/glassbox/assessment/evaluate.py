"""The evaluate stage: predictions and histories in, scores and figures out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from glassbox import layout
from glassbox.assessment import confusion, curves, history, predictions, roc, scores
from glassbox.assessment.intervals import bootstrap
from glassbox.errors import ReportError
from glassbox.files import write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from glassbox.assessment.predictions import Predictions
    from glassbox.params import Params


def evaluate(params: Params, experiment: str) -> None:
    """Scores an experiment's predictions and draws them into `metrics/<experiment>/`.

    Writes `scores.json`, `validation.json`, `confusion.csv`, `confusion.png`, `roc.csv`, `roc.png` and
    `curves.png`, the same bytes for the same predictions; nothing is written when something is refused.

    Args:
        params: All parameters.
        experiment: Key of one of its experiments.

    Raises:
        ReportError: Predictions or history are missing, damaged or cannot be scored.
    """
    settings = params.experiments[experiment]
    task, evaluation = params.splits[settings.split].labels.task, settings.evaluation
    folder = layout.predictions(experiment)
    variants = {variant: predictions.read(folder / f"{variant}.parquet", task) for variant in layout.VARIANTS}
    _refuse_unlike(experiment, variants)
    trained = history.read(layout.models(experiment) / "history.csv")

    measured = {
        variant: scores.score(predicted, bootstrap(predicted, evaluation))
        for variant, predicted in variants.items()
    }
    out = layout.metrics(experiment)
    scores.write(out / "scores.json", measured)
    write_json(out / "validation.json", trained.kept(settings.fine_tune.early_stopping))
    _write_csv(
        out / "confusion.csv",
        ("variant", "truth", "prediction", "images"),
        ((variant, *row) for variant, predicted in variants.items() for row in confusion.rows(predicted)),
    )
    _write_csv(out / "roc.csv", roc.header(task), roc.rows(variants))
    confusion.draw(out / "confusion.png", variants, measured)
    roc.draw(out / "roc.png", variants, measured, evaluation.confidence)
    curves.draw(out / "curves.png", trained)


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
