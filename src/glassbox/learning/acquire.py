"""The weights stage: initial weights as data, or the word that random ones are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.artifacts import weights
from glassbox.params.weights import NoWeights

if TYPE_CHECKING:
    from glassbox.params.weights import Weights


def make(settings: Weights, name: str) -> None:
    """Writes initial weights: a Keras weights file of the backbone, or the word that random ones are meant.

    Raises:
        ModelError: The weights cannot be had, are not the promised ones, or are of another architecture.
    """
    if isinstance(settings, NoWeights):
        weights.write(name, None)
        return
    # Keras takes seconds to import, for which random weights need not wait.
    from glassbox.learning.origins import obtain

    weights.write(name, obtain(settings, f"weights.{name}").save_weights)
