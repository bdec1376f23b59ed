"""ROC curves: one a variant where one class counts, one a class and variant where many do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from glassbox.evaluation.figures import FAINT, VARIANT_COLOURS, VARIANT_NAMES, figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from glassbox.artifacts.evaluation import VariantScores
    from glassbox.evaluation.predictions import Predictions

#: Corners of a curve that the table keeps where there are many curves: the table is kept in git.
CORNERS = 101
#: Panels in a row of the figure.
COLUMNS = 5


def curves(predictions: Predictions) -> dict[str, NDArray[np.float64]]:
    """Name of each class that counts -> its ROC curve: K corners, from where nothing is called positive on.

    A curve is (3, K) float64: false and true positive rate, in 0..1, and threshold, which begins with infinity.
    """
    from sklearn import metrics

    return {
        predictions.classes[position]: np.stack(
            metrics.roc_curve(predictions.labels[:, position], predictions.probabilities[:, position])
        )
        for position in predictions.ranked
    }


def thinned(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve with at most `CORNERS` corners, spread evenly along it; both ends stay."""
    along = curve[0] + curve[1]
    return curve[:, np.unique(np.searchsorted(along, np.linspace(0, 2, CORNERS)))]


def rows(variants: Mapping[str, Predictions]) -> Iterator[dict[str, Any]]:
    """The rows of `roc.csv`: every corner of the one curve of two classes, `CORNERS` at most of each of many."""
    for variant, predictions in variants.items():
        for name, curve in curves(predictions).items():
            one = predictions.task == "binary"
            for false_positive, true_positive, threshold in (curve if one else thinned(curve)).T:
                yield {
                    "variant": variant,
                    **({} if one else {"class": name}),
                    "false_positive_rate": false_positive,
                    "true_positive_rate": true_positive,
                    "threshold": threshold,
                }


def plot(
    path: Path,
    variants: Mapping[str, Predictions],
    measured: Mapping[str, VariantScores],
    confidence: float,
) -> None:
    """The ROC curves of every variant with their areas, one panel a class; of two classes the positive one's.

    Args:
        path: The PNG file.
        variants: variant -> its predictions.
        measured: variant -> its scores.
        confidence: Level of the intervals, in 0..1.
    """
    first, scored = next(iter(variants.values())), next(iter(measured.values()))
    one = first.task == "binary"
    names = first.classes[-1:] if one else first.classes
    width = min(COLUMNS, len(names))
    height = math.ceil(len(names) / width)
    side, ticks = (4.5, 6) if one else (2.05, 3)
    of_variant = {variant: curves(predictions) for variant, predictions in variants.items()}
    with figure(path, side * width + 0.3, (side + 0.15) * height + 1.15) as fig:
        panels = fig.subplots(height, width, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            axes.set_title(f"{name}, {scored.classes[name].prevalence:.1%}", fontsize=8.5)
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
            axes.set(xticks=np.linspace(0, 1, ticks), yticks=np.linspace(0, 1, ticks))
            if name not in of_variant[next(iter(variants))]:
                axes.text(0.5, 0.5, "no image is,\nor all are", ha="center", va="center", color=FAINT)
                continue
            axes.plot((0, 1), (0, 1), color=FAINT, linewidth=0.8, linestyle="--")
            for place, (variant, of_class) in enumerate(of_variant.items()):
                false_positive, true_positive, _ = of_class[name]
                area = f"{measured[variant].classes[name].roc_auc:.3f}"
                colour = VARIANT_COLOURS[variant]
                axes.plot(false_positive, true_positive, color=colour, linewidth=(1.6, 1.1)[place])
                axes.text(0.98, 0.16 - 0.13 * place, area, ha="right", fontsize=8, color=colour)
        for axes in panels[len(names) :]:
            axes.set_axis_off()
        corner = panels[width * (height - 1)]
        corner.set(xlabel="False positive rate", ylabel="True positive rate")
        title = f"ROC on the test fold{'' if one else ', each class against the others'}"
        fig.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        fig.legend(
            handles=[Line2D([], [], color=VARIANT_COLOURS[variant], linewidth=1.8) for variant in variants],
            labels=[
                f"{VARIANT_NAMES[variant]}: {'AUC' if one else 'mean AUC'} {_area(measured[variant])}"
                for variant in variants
            ],
            loc="outside lower left",
            ncols=1 if width < 4 else len(variants),
            title=f"{100 * confidence:.4g} % intervals over patients; beside a class its share of the images",
            alignment="left",
        )


def _area(scores: VariantScores) -> str:
    return f"{scores.roc_auc:.3f} ({scores.roc_auc_low:.3f}\N{EN DASH}{scores.roc_auc_high:.3f})"
