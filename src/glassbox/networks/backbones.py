"""Backbones, laid flat onto their input so that their layers can be counted, frozen and looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import h5py
import keras
from keras import layers

from glassbox.networks.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params.base import Backbone

#: Filters of the convolutions of `compact`; the first four are followed by pooling.
COMPACT_FILTERS = (16, 32, 64, 64, 128, 128)
_COMPACT_POOLED = 4
#: Keras' default of 0.99 follows too slowly where a training has some hundred steps.
_COMPACT_MOMENTUM = 0.9
_APPLICATIONS = {
    "vgg16": keras.applications.VGG16,
    "resnet50": keras.applications.ResNet50,
    "inceptionv3": keras.applications.InceptionV3,
}


class Preprocess(NamedTuple):
    """What ImageNet's weights expect of grey levels (0-255): `scale * level + offset`, a channel each."""

    scale: float
    offset: tuple[float, float, float]


#: VGG16 and ResNet50 subtract ImageNet's means of blue, green and red; the channels of a grey image are equal,
#: so the swap to blue-green-red that precedes it changes nothing. InceptionV3 takes levels from -1 to 1.
_MEANS = Preprocess(1.0, (-103.939, -116.779, -123.68))
PREPROCESS = {"vgg16": _MEANS, "resnet50": _MEANS, "inceptionv3": Preprocess(1 / 127.5, (-1.0, -1.0, -1.0))}


def channels(backbone: Backbone) -> int:
    """Channels of a backbone's input."""
    return 1 if backbone == "compact" else 3


def standalone(backbone: Backbone, *, top: bool = False, weights: str | None = None) -> keras.Model:
    """A backbone by itself, for inputs (N, any, any, channels): how weights are kept and checked.

    Args:
        backbone: Which.
        top: With ImageNet's classification layers.
        weights: None for random ones, `imagenet` for Keras Applications' download (not for `compact`).
    """
    inputs = keras.Input((None, None, channels(backbone)))
    return keras.Model(inputs, apply(backbone, inputs, top=top, weights=weights))


def load(backbone: Backbone, path: Path, place: str, *, top: bool = False) -> keras.Model:
    """A backbone by itself with the weights of a file; `place` names it in messages.

    Raises:
        ModelError: The weights are of another architecture, or the file holds none.
    """
    model = standalone(backbone, top=top)
    try:
        model.load_weights(path)
        _refuse_more(path, len(model.weights))
    except (ValueError, OSError, KeyError) as error:
        kind = "with ImageNet's classification layers" if top else "without its head"
        raise ModelError(
            f"{place}: {path.name} does not fit: {str(error).splitlines()[0]}",
            f"the weights of a {backbone} backbone {kind}",
            "use a weights file of that architecture",
        ) from None
    return model


def _refuse_more(path: Path, wanted: int) -> None:
    """Keras passes over what a file holds besides: classification layers, or a whole network."""
    with h5py.File(path) as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    if len(found) != wanted:
        raise ValueError(f"it holds {len(found)} weights, not {wanted}")


def apply(
    backbone: Backbone, x: keras.KerasTensor, *, top: bool = False, weights: str | None = None
) -> keras.KerasTensor:
    """Lays the layers of a backbone onto `x` (N, height, width, channels).

    Returns:
        The last feature map (N, h, w, features); with `top` the softmax over ImageNet's classes (N, 1000).
    """
    if backbone == "compact":
        return _compact(x)
    return _APPLICATIONS[backbone](include_top=top, weights=weights, input_tensor=x).output


def _compact(x: keras.KerasTensor) -> keras.KerasTensor:
    """Six 3x3 convolutions with batch normalisation, four of them pooled: 0.28 million parameters."""
    for number, filters in enumerate(COMPACT_FILTERS, start=1):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"block{number}_conv")(x)
        x = layers.BatchNormalization(momentum=_COMPACT_MOMENTUM, name=f"block{number}_bn")(x)
        x = layers.Activation("relu", name=f"block{number}_relu")(x)
        if number <= _COMPACT_POOLED:
            x = layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
    return x
