"""The whole network of an experiment: uint8 film in, class probabilities out, flat from end to end.

And what is set before a phase of its training: the backbone's weights, which of its layers rest, the optimiser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers, ops

from glassbox.networks import backbones
from glassbox.networks.errors import ModelError
from glassbox.params.experiments import AllButLastLayers, FirstLayers

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params.base import Task
    from glassbox.params.experiments import Freeze, Model, Optimizer

# Layers before and after the backbone are told from its own by these.
_BEFORE, _AFTER = "pixels_", "head_"


def build(settings: Model, size: int, task: Task, classes: int, *, mean: float, deviation: float) -> keras.Model:
    """Builds the network with random weights.

    Args:
        settings: Backbone, normalisation and head.
        size: Width and height of a film in pixels.
        task: What the outputs are: `multi_label` has a sigmoid each, the others one softmax.
        classes: Number of outputs.
        mean: Mean grey level of the training fold (0-255), for `normalise: standardise`.
        deviation: Its standard deviation.

    Returns:
        A model from uint8 (N, size, size), 0-255, to float32 (N, classes), 0-1.

    Raises:
        ModelError: The backbone cannot be built for this size.
    """
    inputs = keras.Input((size, size), dtype="uint8", name="film")
    x = layers.Reshape((size, size, 1), name=f"{_BEFORE}channel", dtype="float32")(ops.cast(inputs, "float32"))
    x = _normalise(settings, x, mean, deviation)
    if backbones.channels(settings.backbone) == 3:
        x = layers.Concatenate(name=f"{_BEFORE}three_channels", dtype="float32")([x, x, x])
    if settings.preprocess == "imagenet":
        scale, offset = backbones.PREPROCESS[settings.backbone]
        x = layers.Rescaling(scale, list(offset), name=f"{_BEFORE}imagenet", dtype="float32")(x)
    try:
        features = backbones.apply(settings.backbone, x, top=settings.top)
    except ValueError as error:
        raise ModelError(
            f"backbone {settings.backbone} cannot be built for {size} x {size} pixels: {error}",
            "a size that leaves the last feature map at least one pixel",
            "set a larger size for the dataset",
        ) from None
    model = keras.Model(inputs, head(settings, features, classes, task))
    if settings.momentum is not None:
        for layer in backbone_layers(model):
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = settings.momentum
    return model


def head(settings: Model, features: keras.KerasTensor, outputs: int, task: Task) -> keras.KerasTensor:
    """What follows the backbone: pooling, normalisation, fully connected layers, dropout; outputs in float32."""
    x = features
    if not settings.top:
        x = layers.GlobalAveragePooling2D(name=f"{_AFTER}pool")(x)
    if settings.batch_normalisation:
        x = layers.BatchNormalization(name=f"{_AFTER}bn")(x)
    for number, units in enumerate(settings.dense, start=1):
        x = layers.Dense(units, activation="relu", name=f"{_AFTER}dense{number}")(x)
    if settings.dropout:
        x = layers.Dropout(settings.dropout, name=f"{_AFTER}dropout")(x)
    return layers.Dense(
        outputs,
        activation="sigmoid" if task == "multi_label" else "softmax",
        kernel_initializer=settings.output_weights,
        dtype="float32",
        name=f"{_AFTER}output",
    )(x)


def backbone_layers(model: keras.Model) -> list[layers.Layer]:
    """The layers of the backbone, in its own order; its InputLayer is not among them."""
    return [
        layer
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer) and not layer.name.startswith((_BEFORE, _AFTER))
    ]


def _normalise(settings: Model, x: keras.KerasTensor, mean: float, deviation: float) -> keras.KerasTensor:
    if settings.normalise == "standardise":
        if deviation == 0:
            raise ModelError(
                "every pixel of the training fold has the same grey level",
                "films that differ, for normalise: standardise",
                "look at the source's films",
            )
        return layers.Rescaling(1 / deviation, -mean / deviation, name=f"{_BEFORE}standardise", dtype="float32")(x)
    if settings.normalise == "minmax":
        low = ops.amin(x, axis=(1, 2, 3), keepdims=True)
        high = ops.amax(x, axis=(1, 2, 3), keepdims=True)
        # A constant film becomes zero throughout.
        return (x - low) * 255.0 / ops.maximum(high - low, 1.0)
    return x


def load_backbone(model: keras.Model, settings: Model, path: Path) -> None:
    """Gives the backbone of a network the weights of a file.

    Raises:
        ModelError: The weights are of another architecture.
    """
    trained = backbones.load(settings.backbone, path, str(path.parent), top=settings.top)
    for layer, same in zip(backbone_layers(trained), backbone_layers(model), strict=True):
        same.set_weights(layer.get_weights())


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
        return backbone if what.all_but_last == 0 else backbone[: with_parameters[-what.all_but_last]]
    if what == "all_but_batch_normalisation":
        return [layer for layer in backbone if not isinstance(layer, layers.BatchNormalization)]
    return backbone if what == "everything" else []


def optimizer(settings: Optimizer, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser of a phase of so many steps, in today's Keras terms."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    elif settings.decay:
        # Keras 3 accepts the old `decay` argument and ignores it; this is what it meant.
        rate = keras.optimizers.schedules.InverseTimeDecay(settings.learning_rate, 1, settings.decay)
    if settings.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=settings.nesterov)
    if settings.name == "rmsprop":
        return keras.optimizers.RMSprop(rate)
    if settings.name == "adam":
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1)
    return keras.optimizers.AdamW(rate, beta_1=settings.beta_1, weight_decay=settings.weight_decay)
