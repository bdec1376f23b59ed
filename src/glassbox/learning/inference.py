"""Class probabilities of a fold's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glassbox.learning import batches

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from glassbox.learning.augment import Affines
    from glassbox.learning.batches import Fold

_BATCH = 64


def infer(model: keras.Model, fold: Fold, affines: Affines | None = None) -> NDArray[np.float32]:
    """Runs a network over a fold in its order; float32 (N, classes).

    Args:
        model: A network of `network.build`.
        fold: The images.
        affines: One transformation an image, or None for the images as they are.
    """
    images = batches.in_order(fold, min(_BATCH, len(fold)), affines)
    return np.concatenate([model.predict_on_batch(batch) for batch in images])[: len(fold)]
