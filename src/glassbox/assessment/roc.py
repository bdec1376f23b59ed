"""ROC curves: one a variant where one class counts, one a class and variant where many do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from glassbox.assessment.figures import FAINT, VARIANT_COLOURS, VARIANT_NAMES, figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from glassbox.artifacts.scores import VariantScores
    from glassbox.assessment.predictions import Predictions
    from glassbox.params.base import Task

#: Corners of a curve that the table keeps where there are many curves: the table is kept in git.
CORNERS = 101
#: Curves in a row of the figure.
COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Curve:
    """The ROC curve of one class: its K corners, from where nothing is called positive on."""

    #: (K,) float64 in 0..1 each.
    false_positive: NDArray[np.float64]
    true_positive: NDArray[np.float64]
    #: (K,) float64 in 0..1, but for the first, which is infinity.
    thresholds: NDArray[np.float64]

    def thinned(self) -> Curve:
        """The curve with at most `CORNERS` corners, spread evenly along it; both ends stay."""
        along = self.false_positive + self.true_positive
        kept = np.unique(np.searchsorted(along, np.linspace(0, 2, CORNERS)))
        return Curve(self.false_positive[kept], self.true_positive[kept], self.thresholds[kept])


def curves(predictions: Predictions) -> dict[str, Curve]:
    """Name of each class that counts -> its ROC curve."""
    from sklearn import metrics

    return {
        predictions.classes[position]: Curve(
            *metrics.roc_curve(
                predictions.labels[:, position], predictions.probabilities[:, position], drop_intermediate=True
            )
        )
        for position in predictions.ranked
    }


def header(task: Task) -> tuple[str, ...]:
    """The columns of `roc.csv`; `class` is among them where there are many curves."""
    many = () if task == "binary" else ("class",)
    return ("variant", *many, "false_positive_rate", "true_positive_rate", "threshold")


def rows(variants: Mapping[str, Predictions]) -> Iterator[tuple[Any, ...]]:
    """The rows of `roc.csv`: every corner of the one curve, or `CORNERS` at most of each of many."""
    for variant, predictions in variants.items():
        for name, curve in curves(predictions).items():
            one = predictions.task == "binary"
            kept = curve if one else curve.thinned()
            for corner in zip(kept.false_positive, kept.true_positive, kept.thresholds, strict=True):
                yield (variant, *(() if one else (name,)), *(f"{number:.6f}" for number in corner))


def draw(
    path: Path,
    variants: Mapping[str, Predictions],
    measured: Mapping[str, VariantScores],
    confidence: float,
) -> None:
    """The ROC curves of every variant, with the areas and their intervals.

    Args:
        path: The PNG file.
        variants: variant -> its predictions.
        measured: variant -> its scores.
        confidence: Level of the intervals, in 0..1.
    """
    first = next(iter(variants.values()))
    if first.task == "binary":
        _draw_one(path, variants, measured, confidence)
    else:
        _draw_many(path, first.classes, variants, measured, confidence)


def _draw_one(
    path: Path,
    variants: Mapping[str, Predictions],
    measured: Mapping[str, VariantScores],
    confidence: float,
) -> None:
    with figure(path, 4.8, 4.8) as drawn:
        axes = drawn.subplots()
        axes.plot((0, 1), (0, 1), color=FAINT, linewidth=0.8, linestyle=(0, (4, 4)))
        for variant, predictions in variants.items():
            (curve,) = curves(predictions).values()
            axes.plot(
                curve.false_positive,
                curve.true_positive,
                color=VARIANT_COLOURS[variant],
                linewidth=1.8,
                label=f"{VARIANT_NAMES[variant]}: AUC {_area(measured[variant])}",
            )
        axes.set(
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
            xlabel="False positive rate",
            ylabel="True positive rate",
            title="ROC on the test fold",
        )
        axes.legend(
            loc="lower right",
            title=f"{100 * confidence:.4g} % intervals over patients",
            title_fontsize=8,
            alignment="left",
        )


def _draw_many(
    path: Path,
    classes: tuple[str, ...],
    variants: Mapping[str, Predictions],
    measured: Mapping[str, VariantScores],
    confidence: float,
) -> None:
    """One small panel a class, in the order of the classes, with the class's areas and its prevalence."""
    width = min(COLUMNS, len(classes))
    height = math.ceil(len(classes) / width)
    drawn_curves = {variant: curves(predictions) for variant, predictions in variants.items()}
    with figure(path, 2.05 * width + 0.3, 2.2 * height + 0.9) as drawn:
        panels = drawn.subplots(height, width, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, classes, strict=False):
            prevalence = next(iter(measured.values())).classes[name].prevalence
            axes.set_title(f"{name}, {prevalence:.1%}", fontsize=8.5)
            axes.set(
                xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1)
            )
            for row, (variant, of_class) in enumerate(drawn_curves.items()):
                if name in of_class:
                    _draw_small(axes, row, variant, of_class[name], measured[variant].classes[name].roc_auc)
                elif row == 0:
                    axes.text(0.5, 0.5, "no image is,\nor all are", ha="center", va="center", color=FAINT)
        for axes in panels[len(classes) :]:
            axes.set_axis_off()
        drawn.suptitle(
            "ROC on the test fold, each class against the others; beside its name its share of the images",
            x=0.01,
            ha="left",
            fontsize=10,
            fontweight="bold",
        )
        corner = panels[width * (height - 1)]
        corner.set(xlabel="False positive rate", ylabel="True positive rate")
        drawn.legend(
            handles=[Line2D([], [], color=VARIANT_COLOURS[variant], linewidth=1.8) for variant in variants],
            labels=[f"{VARIANT_NAMES[name]}: mean AUC {_area(scores)}" for name, scores in measured.items()],
            loc="outside lower left",
            ncols=len(variants),
            title=f"{100 * confidence:.4g} % intervals over patients",
            title_fontsize=8,
            alignment="left",
        )


def _draw_small(axes: Axes, row: int, variant: str, curve: Curve, area: float | None) -> None:
    """One curve of a small panel, its area in the corner under the curve."""
    colour = VARIANT_COLOURS[variant]
    if row == 0:
        axes.plot((0, 1), (0, 1), color=FAINT, linewidth=0.8, linestyle=(0, (4, 4)))
    axes.plot(curve.false_positive, curve.true_positive, color=colour, linewidth=1.4 if row == 0 else 0.9)
    axes.text(0.98, 0.16 - 0.13 * row, f"{area:.3f}", ha="right", va="bottom", fontsize=8, color=colour)


def _area(scores: VariantScores) -> str:
    return f"{scores.roc_auc:.3f} ({scores.roc_auc_low:.3f}\N{EN DASH}{scores.roc_auc_high:.3f})"
