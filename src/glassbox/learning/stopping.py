"""Early stopping on the validation loss, in a form that can be put aside and taken up again."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray

    from glassbox.params.experiments import EarlyStopping


@dataclass
class Stopping:
    """The best epoch so far, and how long ago it was.

    Attributes:
        settings: Patience and threshold, or None to train to the end and keep the last weights.
        best: The lowest validation loss so far.
        waited: Epochs since then.
        weights: The weights of that epoch; empty before the first.
    """

    settings: EarlyStopping | None
    best: float = math.inf
    waited: int = 0
    weights: list[NDArray[np.float32]] = field(default_factory=list)

    def notice(self, model: keras.Model, val_loss: float) -> None:
        """Takes note of a finished epoch."""
        if self.settings is None:
            return
        self.waited += 1
        if val_loss < self.best:
            self.best, self.waited, self.weights = val_loss, 0, model.get_weights()

    @property
    def due(self) -> bool:
        """Whether training should stop: patience is exhausted, or the loss is as low as asked for."""
        if self.settings is None:
            return False
        below = self.settings.below is not None and self.best < self.settings.below
        return below or self.waited >= self.settings.patience

    def restore(self, model: keras.Model) -> None:
        """Gives the model the best epoch's weights, where there are some."""
        if self.weights:
            model.set_weights(self.weights)
