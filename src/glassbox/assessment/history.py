"""The learning curves: `models/<experiment>/history.csv`, one row an epoch of either phase."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassbox.errors import ReportError

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params import EarlyStopping

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class History:
    """E epochs, numbered from 0 on through both phases; E may be 0."""

    epochs: tuple[int, ...]
    #: Phase of each epoch: `warm_start` or `fine_tune`.
    phases: tuple[str, ...]
    #: Name of each of `CURVES` -> its values, E of them; NaN where training diverged.
    curves: dict[str, tuple[float, ...]]

    @property
    def fine_tune_start(self) -> int | None:
        """The first epoch of fine-tuning where a warm start went before it, else None."""
        start = self.phases.count("warm_start")
        return start if 0 < start < len(self.epochs) else None

    def kept(self, early_stopping: EarlyStopping | None) -> dict[str, float]:
        """Validation figures of the epoch whose weights the model has: what settings are chosen by.

        With early stopping that is fine-tuning's epoch of the lowest loss, else the last one.

        Returns:
            `epoch`, `val_loss` and `val_accuracy`; nothing where no epoch was trained.
        """
        if not self.epochs:
            return {}
        losses, start = self.curves["val_loss"], self.phases.count("warm_start")
        at = len(losses) - 1
        if early_stopping is not None and start < len(losses):
            at = min(range(start, len(losses)), key=losses.__getitem__)
        return {"epoch": self.epochs[at], **{name: self.curves[name][at] for name in ("val_loss", "val_accuracy")}}


def read(path: Path) -> History:
    """Reads and checks a history.

    Raises:
        ReportError: The file is missing, lacks a column, or has a cell that is no number.
    """
    action = "run `dvc repro` to train anew"
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or []
    except FileNotFoundError:
        raise ReportError(f"{path} is not there", "the history of the training", action) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReportError(f"{path} is no CSV: {error}", "one row an epoch", action) from None
    if missing := [name for name in ("epoch", "phase", *CURVES) if name not in columns]:
        raise ReportError(f"{path} lacks {', '.join(missing)}", "one column each", action)
    try:
        history = History(
            epochs=tuple(int(row["epoch"]) for row in rows),
            phases=tuple(row["phase"] for row in rows),
            curves={name: tuple(float(row[name]) for row in rows) for name in CURVES},
        )
    except (TypeError, ValueError) as error:
        raise ReportError(f"{path}: {error}", "a number in every cell of a curve", action) from None
    warm = history.phases.count("warm_start")
    in_order = ("warm_start",) * warm + ("fine_tune",) * (len(rows) - warm)
    if history.epochs != tuple(range(len(rows))) or history.phases != in_order:
        raise ReportError(
            f"{path}: epochs {history.epochs} of phases {history.phases}",
            "epochs from 0 on, first those of warm_start, then those of fine_tune",
            action,
        )
    return history
