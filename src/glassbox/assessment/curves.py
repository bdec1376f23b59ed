"""The figure of the learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator, PercentFormatter

from glassbox.assessment.figures import FAINT, INK, figure

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.assessment.history import History

TRAIN_COLOUR, VALIDATION_COLOUR = "#1d5fa8", "#d9822b"


def draw(path: Path, history: History) -> None:
    """Loss and accuracy of the train and validation folds from epoch 0, the change of phase marked."""
    with figure(path, 7.6, 3.4) as drawn:
        for axis, name in zip(drawn.subplots(1, 2), ("loss", "accuracy"), strict=True):
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
