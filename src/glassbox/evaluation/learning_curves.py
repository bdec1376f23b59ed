"""The learning curves of a training, as `artifacts.history` reads them: a figure, and the epoch that was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator, PercentFormatter

from glassbox.evaluation.figures import FAINT, INK, figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from glassbox.artifacts.history import Epoch
    from glassbox.params.experiments import EarlyStopping

TRAIN_COLOUR, VALIDATION_COLOUR = "#1d5fa8", "#d9822b"


def kept(rows: Sequence[Epoch], early_stopping: EarlyStopping | None) -> Epoch:
    """Validation figures of the epoch whose weights the model has: what settings are chosen by.

    With early stopping that is fine-tuning's epoch of the lowest loss, else the last one.

    Returns:
        `epoch`, `val_loss` and `val_accuracy`; nothing where no epoch was trained.
    """
    if not rows:
        return {}
    tuned = [row for row in rows if row["phase"] == "fine_tune"]
    stopped = early_stopping is not None and tuned
    epoch = min(tuned, key=lambda row: float(row["val_loss"])) if stopped else rows[-1]
    return {name: epoch[name] for name in ("epoch", "val_loss", "val_accuracy")}


def plot(path: Path, rows: Sequence[Epoch]) -> None:
    """Loss and accuracy of the train and validation folds from epoch 0, the change of phase marked."""
    epochs = [int(row["epoch"]) for row in rows]
    start = sum(row["phase"] == "warm_start" for row in rows)
    with figure(path, 7.6, 3.4) as fig:
        for axes, name in zip(fig.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for curve, label, colour in (
                (name, "train", TRAIN_COLOUR),
                (f"val_{name}", "validation", VALIDATION_COLOUR),
            ):
                values = [float(row[curve]) for row in rows]
                axes.plot(epochs, values, color=colour, linewidth=1.6, marker="o", markersize=3.2, label=label)
            axes.set(xlabel="Epoch", title=name.capitalize())
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(axis="y")
            if 0 < start < len(rows):
                axes.axvline(start - 0.5, color=INK, linewidth=0.9, linestyle=":", label="fine-tuning starts")
            if rows:
                axes.set_xlim(-0.5, epochs[-1] + 0.5)
                axes.legend(loc="best")
            else:
                axes.set(xticks=(), yticks=())
                axes.text(0.5, 0.5, "no epoch was trained", transform=axes.transAxes, ha="center", color=FAINT)
            if name == "accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
