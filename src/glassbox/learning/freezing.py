"""Which layers of a backbone train, in one vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras import layers

from glassbox.learning.errors import ModelError
from glassbox.learning.network import backbone_layers
from glassbox.params.experiments import AllButLastLayers, FirstLayers

if TYPE_CHECKING:
    import keras

    from glassbox.params.experiments import Freeze


def freeze(model: keras.Model, what: Freeze) -> None:
    """Sets `trainable` of every layer; the model must be compiled afterwards.

    A frozen batch normalisation layer keeps its moving statistics and normalises by them.

    Raises:
        ModelError: More layers are named than the backbone has.
    """
    frozen = _frozen(backbone_layers(model), what)
    # Layer by layer: a loaded model that says it is trainable does not pass that on to its frozen layers.
    for layer in model.layers:
        layer.trainable = layer not in frozen


def _frozen(backbone: list[layers.Layer], what: Freeze) -> list[layers.Layer]:
    if isinstance(what, FirstLayers):
        # The sources count `layers[:k]` of the backbone, whose first layer is its InputLayer.
        if what.first > len(backbone) + 1:
            raise ModelError(
                f"freeze: first: {what.first} layers",
                f"at most {len(backbone) + 1}, the backbone's layers with its InputLayer",
                "set a smaller number, or freeze: everything",
            )
        return backbone[: what.first - 1]
    if isinstance(what, AllButLastLayers):
        with_parameters = [position for position, layer in enumerate(backbone) if layer.weights]
        if what.all_but_last > len(with_parameters):
            raise ModelError(
                f"freeze: all_but_last: {what.all_but_last} layers",
                f"at most {len(with_parameters)}, the backbone's layers that have parameters",
                "set a smaller number, or freeze: nothing",
            )
        if what.all_but_last == 0:
            return backbone
        return backbone[: with_parameters[-what.all_but_last]]
    if what == "everything":
        return backbone
    if what == "all_but_batch_normalisation":
        return [layer for layer in backbone if not isinstance(layer, layers.BatchNormalization)]
    return []
