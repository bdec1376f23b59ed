"""What was taken for what: images by true and predicted class, as a table and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from glassbox.evaluation.figures import INK, VARIANT_NAMES, figure
from glassbox.evaluation.predictions import THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from glassbox.artifacts.evaluation import VariantScores
    from glassbox.evaluation.predictions import Predictions

#: Told apart by colour-blind readers and in grey print, and not the colours of the variants.
RECALL_COLOUR, PRECISION_COLOUR = "#3b6e57", "#b9cfc4"


def matrix(predictions: Predictions) -> NDArray[np.int64]:
    """Images by true class (rows) and most probable class (columns), (C, C) int64."""
    return predictions.labels.T.astype(np.int64) @ predictions.decisions.astype(np.int64)


def rows(variants: Mapping[str, Predictions]) -> Iterator[dict[str, Any]]:
    """The rows of `confusion.csv`: each cell; for `multi_label` those of a table of "X" and "not X" a class."""
    for variant, predictions in variants.items():
        for names, table in _tables(predictions):
            for (truth, prediction), images in np.ndenumerate(table):
                yield {
                    "variant": variant,
                    "truth": names[truth],
                    "prediction": names[prediction],
                    "images": images,
                }


def _tables(predictions: Predictions) -> Iterator[tuple[tuple[str, ...], NDArray[np.int64]]]:
    if predictions.task != "multi_label":
        yield predictions.classes, matrix(predictions)
        return
    from sklearn import metrics

    tables = metrics.multilabel_confusion_matrix(predictions.labels, predictions.decisions)
    for name, table in zip(predictions.classes, tables, strict=True):
        yield (f"not {name}", name), table


def plot(path: Path, variants: Mapping[str, Predictions], measured: Mapping[str, VariantScores]) -> None:
    """The confusion matrices of every variant side by side; for `multi_label` recall and precision of each class.

    Args:
        path: The PNG file.
        variants: variant -> its predictions.
        measured: variant -> its scores.
    """
    if next(iter(variants.values())).task == "multi_label":
        _plot_bars(path, measured)
    else:
        _plot_matrices(path, variants)


def _plot_matrices(path: Path, variants: Mapping[str, Predictions]) -> None:
    """Percents of the true class in every cell, its images beside its name; of two classes images in each cell."""
    classes = next(iter(variants.values())).classes
    two = len(classes) == 2
    side, size = (2.8, 11) if two else (max(0.37 * len(classes), 2.2), 9)
    with figure(path, len(variants) * (side + 0.2) + 1.6, side + (0.9 if two else 1.4)) as fig:
        panels = fig.subplots(1, len(variants), sharey=True)
        for axes, (variant, predictions) in zip(panels, variants.items(), strict=True):
            images = matrix(predictions)
            totals = images.sum(axis=1)
            shares = images / totals[:, None].clip(min=1)
            axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
            for (row, column), share in np.ndenumerate(shares):
                said = f"{images[row, column]:,}\n{share:.1%}" if two else f"{100 * share:.0f}"
                colour = "white" if share > 0.55 else INK
                if two or images[row, column]:
                    axes.text(column, row, said, ha="center", va="center", color=colour, fontsize=size)
            leaning = {} if two else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            axes.set_xticks(range(len(classes)), classes, **leaning)
            axes.set_yticks(range(len(classes)), _counted(classes, totals))
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set(xlabel="Predicted", title=f"{VARIANT_NAMES[variant].capitalize()}: % of the true class")
        panels[0].set_ylabel("True (images)")


def _plot_bars(path: Path, measured: Mapping[str, VariantScores]) -> None:
    """Recall and precision of each class, and its prevalence: the precision of naming it every time."""
    names = list(next(iter(measured.values())).classes)
    places = np.arange(len(names))
    with figure(path, 4.6 * len(measured) + 0.8, 0.36 * len(names) + 1.5) as fig:
        panels = fig.subplots(1, len(measured), sharey=True)
        for axes, (variant, scores) in zip(panels, measured.items(), strict=True):
            of_classes = [scores.classes[name] for name in names]
            recall, precision, prevalence, support = (
                [getattr(of_class, metric) for of_class in of_classes]
                for metric in ("recall", "precision", "prevalence", "support")
            )
            axes.barh(places - 0.19, recall, height=0.34, color=RECALL_COLOUR, label="recall")
            axes.barh(places + 0.19, precision, height=0.34, color=PRECISION_COLOUR, label="precision")
            baseline = {"color": INK, "linewidth": 1.4, "label": "prevalence (its baseline)"}
            axes.vlines(prevalence, places - 0.42, places + 0.42, **baseline)
            axes.set_yticks(places, _counted(names, support))
            axes.tick_params(axis="y", length=0)
            title = f"{VARIANT_NAMES[variant].capitalize()}, at {THRESHOLD}"
            axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), title=title)
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
            axes.grid(axis="x")
        fig.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _counted(names: Iterable[str], images: Iterable[int]) -> list[str]:
    return [f"{name} ({count:,})" for name, count in zip(names, images, strict=True)]
