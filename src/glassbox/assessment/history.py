"""The learning curves of a training, one point an epoch of either phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.artifacts.history import Row
    from glassbox.params.experiments import EarlyStopping

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class History:
    """E epochs, numbered from 0 on through both phases; E may be 0."""

    epochs: tuple[int, ...]
    #: Phase of each epoch: `warm_start` or `fine_tune`.
    phases: tuple[str, ...]
    #: Name of each of `CURVES` -> its values, E of them.
    curves: dict[str, tuple[float, ...]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """The curves of a history, as `artifacts.history` reads it."""
        return cls(
            epochs=tuple(int(row["epoch"]) for row in rows),
            phases=tuple(str(row["phase"]) for row in rows),
            curves={name: tuple(float(row[name]) for row in rows) for name in CURVES},
        )

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
