"""Initial weights as data: a folder with a Keras weights file of the backbone, or a marker that there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.errors import ModelError
from glassbox.learning import backbones
from glassbox.learning.network import backbone_layers

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from glassbox.params import Backbone


def load_into(model: keras.Model, backbone: Backbone, folder: Path) -> None:
    """Gives the backbone of a flat model the weights in `folder`; leaves it as it is where they are `none`."""
    if (folder / layout.NO_WEIGHTS).exists():
        return
    trained = load(backbone, folder / layout.WEIGHTS, str(folder))
    copy(trained, model)


def copy(one: keras.Model, other: keras.Model) -> None:
    """Copies the weights of one model's backbone to the same backbone in another."""
    for layer, same in zip(backbone_layers(one), backbone_layers(other), strict=True):
        same.set_weights(layer.get_weights())


def load(backbone: Backbone, path: Path, place: str) -> keras.Model:
    """A backbone by itself with the weights of a file; `place` names it in messages.

    Raises:
        ModelError: The weights are of another architecture, or the file is none.
    """
    model = backbones.standalone(backbone)
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{place}: {path.name} does not fit: {str(error).splitlines()[0]}",
            f"the weights of a {backbone} backbone without its head",
            "use a weights file of that architecture",
        ) from None
    return model
