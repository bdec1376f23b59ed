"""Class probabilities of a fold's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glassbox.learning import batches, strategies

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from glassbox.learning.augment import Variations
    from glassbox.learning.batches import Fold

_BATCH = 64


def infer(model: keras.Model, fold: Fold, variations: Variations | None = None) -> NDArray[np.float32]:
    """Runs a network over a fold in its order; float32 (N, classes).

    Args:
        model: A network of `network.build`.
        fold: The images.
        variations: One an image, or None for the images as they are.
    """
    devices = strategies.replicas(model)
    images = batches.in_order(fold, devices * -(-min(_BATCH, len(fold)) // devices), variations)
    return np.concatenate([strategies.predict(model, batch) for batch in images])[: len(fold)]
