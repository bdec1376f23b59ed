"""Which layers of a backbone train, in one vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import layers

from glassbox.errors import ModelError
from glassbox.learning.network import backbone_layers
from glassbox.params import FirstLayers

if TYPE_CHECKING:
    import keras

    from glassbox.params import Phase


def freeze(model: keras.Model, phase: Phase) -> None:
    """Sets `trainable` of every layer as the phase asks; the model must be compiled afterwards.

    A frozen batch normalisation layer keeps its moving statistics and normalises by them.

    Raises:
        ModelError: More layers are to be frozen than the backbone has.
    """
    backbone = backbone_layers(model)
    if isinstance(phase.freeze, FirstLayers):
        # The sources count `layers[:k]` of the backbone, whose first layer is its InputLayer.
        if phase.freeze.first > len(backbone) + 1:
            raise ModelError(
                f"freeze: first: {phase.freeze.first} layers",
                f"at most {len(backbone) + 1}, the backbone's layers with its InputLayer",
                "set a smaller number, or freeze: backbone",
            )
        frozen = backbone[: phase.freeze.first - 1]
    elif phase.freeze == "backbone":
        frozen = backbone
    elif phase.freeze == "batch_normalisation":
        frozen = [layer for layer in backbone if isinstance(layer, layers.BatchNormalization)]
    else:
        frozen = []
    # Layer by layer: a loaded model that says it is trainable does not pass that on to its frozen layers.
    for layer in model.layers:
        layer.trainable = layer not in frozen
