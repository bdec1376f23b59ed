"""The figures of an experiment, as PNG files that are the same bytes for the same numbers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from glassbox.files import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from matplotlib.typing import RcKeyType
    from numpy.typing import NDArray

    from glassbox.assessment.history import History
    from glassbox.assessment.scores import VariantScores

DPI = 130
#: What variants are called in figures and tables.
VARIANT_NAMES = {"test_clean": "clean", "test_augmented": "augmented"}
#: A blue and an orange that colour-blind readers tell apart, and that differ in grey print too.
VARIANT_COLOURS = {"test_clean": "#1d5fa8", "test_augmented": "#d9822b"}
TRAIN_COLOUR, VALIDATION_COLOUR = "#1d5fa8", "#d9822b"
INK, FAINT = "#24292f", "#8c959f"

STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so that letters are the same everywhere
    "font.size": 9.0,
    "text.parse_math": False,  # a dollar sign in the name of a finding is a dollar sign
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yields an empty figure (inches) in this module's style, not the user's, and writes it to `path`."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        with atomic(path) as temporary:
            # Matplotlib would write its version into the file.
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def draw_roc(
    path: Path,
    curves: Mapping[str, tuple[NDArray[np.float64], ...]],
    measured: Mapping[str, VariantScores],
    confidence: float,
) -> None:
    """The ROC curves of every variant, with the areas and their intervals.

    Args:
        path: The PNG file.
        curves: variant -> false positive rates, true positive rates and thresholds, each (K,).
        measured: variant -> its scores.
        confidence: Level of the intervals, in 0..1.
    """
    with _figure(path, 4.8, 4.8) as figure:
        axes = figure.subplots()
        axes.plot((0, 1), (0, 1), color=FAINT, linewidth=0.8, linestyle=(0, (4, 4)))
        for variant, (false_positive, true_positive, _) in curves.items():
            scores = measured[variant]
            axes.plot(
                false_positive,
                true_positive,
                color=VARIANT_COLOURS[variant],
                linewidth=1.8,
                label=f"{VARIANT_NAMES[variant]}: AUC {scores.roc_auc:.3f} "
                f"({scores.roc_auc_low:.3f}\N{EN DASH}{scores.roc_auc_high:.3f})",
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


def draw_confusion(path: Path, classes: tuple[str, ...], confusions: Mapping[str, NDArray[np.int64]]) -> None:
    """The confusion matrices of every variant side by side: images, and their share of the true class.

    Args:
        path: The PNG file.
        classes: Names of the C classes.
        confusions: variant -> images by true class (rows) and most probable class (columns), (C, C) int64.
    """
    with _figure(path, 7.6, 3.9) as figure:
        axes = figure.subplots(1, len(confusions), sharey=True)
        for axis, (variant, matrix) in zip(axes, confusions.items(), strict=True):
            shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
            axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
            for (row, column), images in zip(_cells(len(classes)), matrix.ravel(), strict=True):
                share = shares[row, column]
                axis.text(
                    column,
                    row,
                    f"{images:,}\n{share:.1%}",
                    ha="center",
                    va="center",
                    fontsize=11,
                    color="white" if share > 0.55 else INK,
                )
            axis.set_xticks(range(len(classes)), classes)
            axis.set_yticks(range(len(classes)), classes, rotation=90, va="center")
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            axis.set(xlabel="Predicted", title=VARIANT_NAMES[variant].capitalize())
        axes[0].set_ylabel("True")


def _cells(side: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of a square matrix, in the order of its values."""
    return ((row, column) for row in range(side) for column in range(side))


def draw_curves(path: Path, history: History) -> None:
    """Loss and accuracy of the train and validation folds from epoch 0, the change of phase marked."""
    with _figure(path, 7.6, 3.4) as figure:
        for axis, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for curve, label, colour in (
                (name, "train", TRAIN_COLOUR),
                (f"val_{name}", "validation", VALIDATION_COLOUR),
            ):
                axis.plot(
                    history.epochs,
                    history.curves[curve],
                    color=colour,
                    linewidth=1.6,
                    marker="o",
                    markersize=3.2,
                    label=label,
                )
            axis.set(xlabel="Epoch", title=name.capitalize())
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
            if (start := history.fine_tune_start) is not None:
                axis.axvline(
                    start - 0.5, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), label="fine-tuning starts"
                )
            if history.epochs:
                axis.set_xlim(-0.5, history.epochs[-1] + 0.5)
                axis.legend(loc="best")
            else:
                axis.set(xticks=(), yticks=())
                axis.text(0.5, 0.5, "no epoch was trained", transform=axis.transAxes, ha="center", color=FAINT)
            if name == "accuracy":
                axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
