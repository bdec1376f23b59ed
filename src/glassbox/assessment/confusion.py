"""What was taken for what: images by true and predicted class, as a table and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import PercentFormatter

from glassbox.assessment.figures import FAINT, INK, VARIANT_NAMES, figure
from glassbox.assessment.predictions import THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from glassbox.artifacts.scores import VariantScores
    from glassbox.assessment.predictions import Predictions

#: Told apart by colour-blind readers and in grey print, and not the colours of the variants.
RECALL_COLOUR, PRECISION_COLOUR = "#3b6e57", "#b9cfc4"


def matrix(predictions: Predictions) -> NDArray[np.int64]:
    """Images by true class (rows) and most probable class (columns), (C, C) int64."""
    return predictions.labels.T.astype(np.int64) @ predictions.decisions.astype(np.int64)


def counts(predictions: Predictions) -> NDArray[np.int64]:
    """For each class the images by whether they are of it (rows) and are said to be (columns), (C, 2, 2) int64."""
    from sklearn import metrics

    return np.asarray(metrics.multilabel_confusion_matrix(predictions.labels, predictions.decisions))


def rows(predictions: Predictions) -> Iterator[tuple[str, str, int]]:
    """Truth, prediction and images of every cell; for `multi_label` a table of "X" and "not X" for each class."""
    if predictions.task == "multi_label":
        for name, table in zip(predictions.classes, counts(predictions).tolist(), strict=True):
            yield from _cells((f"not {name}", name), table)
    else:
        yield from _cells(predictions.classes, matrix(predictions).tolist())


def _cells(names: tuple[str, ...], table: list[list[int]]) -> Iterator[tuple[str, str, int]]:
    for truth, row in zip(names, table, strict=True):
        for prediction, images in zip(names, row, strict=True):
            yield truth, prediction, images


def draw(path: Path, variants: Mapping[str, Predictions], measured: Mapping[str, VariantScores]) -> None:
    """The confusion matrices of every variant side by side; for `multi_label` recall and precision of each class.

    Args:
        path: The PNG file.
        variants: variant -> its predictions.
        measured: variant -> its scores.
    """
    first = next(iter(variants.values()))
    matrices = {variant: matrix(predictions) for variant, predictions in variants.items()}
    if first.task == "binary":
        _draw_two(path, first.classes, matrices)
    elif first.task == "single_label":
        _draw_many(path, first.classes, matrices)
    else:
        _draw_bars(path, measured)


def _shares(images: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each cell's share of its true class, (C, C); 0 for a class without images."""
    return np.asarray(images / images.sum(axis=1, keepdims=True).clip(min=1))


def _draw_two(path: Path, classes: tuple[str, ...], matrices: Mapping[str, NDArray[np.int64]]) -> None:
    """Images, and their share of the true class, in every cell."""
    with figure(path, 7.6, 3.9) as drawn:
        panels = drawn.subplots(1, len(matrices), sharey=True)
        for axes, (variant, images) in zip(panels, matrices.items(), strict=True):
            shares = _shares(images)
            axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
            for (row, column), share in np.ndenumerate(shares):
                axes.text(
                    column,
                    row,
                    f"{images[row, column]:,}\n{share:.1%}",
                    ha="center",
                    va="center",
                    fontsize=11,
                    color="white" if share > 0.55 else INK,
                )
            axes.set_xticks(range(len(classes)), classes)
            axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set(xlabel="Predicted", title=VARIANT_NAMES[variant].capitalize())
        panels[0].set_ylabel("True")


def _draw_many(path: Path, classes: tuple[str, ...], matrices: Mapping[str, NDArray[np.int64]]) -> None:
    """Percents of the true class in every cell, whose images stand beside its name."""
    side = max(0.37 * len(classes), 2.2)
    with figure(path, len(matrices) * (side + 0.2) + 1.6, side + 1.4) as drawn:
        panels = drawn.subplots(1, len(matrices), sharey=True)
        for axes, (variant, images) in zip(panels, matrices.items(), strict=True):
            shares = _shares(images)
            axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
            for (row, column), share in np.ndenumerate(shares):
                if images[row, column]:
                    axes.text(
                        column,
                        row,
                        f"{100 * share:.0f}",
                        ha="center",
                        va="center",
                        color="white" if share > 0.55 else INK,
                    )
            totals = images.sum(axis=1)
            named = [f"{name} ({total:,})" for name, total in zip(classes, totals, strict=True)]
            axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(classes)), named)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set(xlabel="Predicted", title=f"{VARIANT_NAMES[variant].capitalize()}: % of the true class")
        panels[0].set_ylabel("True (images)")


def _draw_bars(path: Path, measured: Mapping[str, VariantScores]) -> None:
    """Recall and precision of each class, and its prevalence: the precision of naming it every time."""
    names = list(next(iter(measured.values())).classes)
    with figure(path, 4.6 * len(measured) + 0.8, 0.36 * len(names) + 1.5) as drawn:
        panels = drawn.subplots(1, len(measured), sharey=True)
        places = np.arange(len(names))
        for axes, (variant, scores) in zip(panels, measured.items(), strict=True):
            recall, precision, prevalence = (
                [getattr(scores.classes[name], metric) for name in names]
                for metric in ("recall", "precision", "prevalence")
            )
            axes.barh(places - 0.19, recall, height=0.34, color=RECALL_COLOUR, label="recall")
            axes.barh(places + 0.19, precision, height=0.34, color=PRECISION_COLOUR, label="precision")
            axes.vlines(
                prevalence,
                places - 0.42,
                places + 0.42,
                color=INK,
                linewidth=1.4,
                label="prevalence (its baseline)",
            )
            supports = [scores.classes[name].support for name in names]
            axes.set_yticks(
                places, [f"{name} ({support:,})" for name, support in zip(names, supports, strict=True)]
            )
            axes.tick_params(axis="y", length=0)
            axes.set(
                xlim=(0, 1),
                ylim=(len(names) - 0.5, -0.5),
                title=f"{VARIANT_NAMES[variant].capitalize()}, at {THRESHOLD}",
            )
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.6)
            axes.set_axisbelow(True)
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=3)
