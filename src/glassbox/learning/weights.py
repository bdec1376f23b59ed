"""The weights of a backbone from a file, into a backbone by itself or within a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from glassbox.learning import backbones
from glassbox.learning.errors import ModelError
from glassbox.learning.network import backbone_layers

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from glassbox.params.base import Backbone
    from glassbox.params.experiments import Model


#: What a backbone's weights come with.
_TOP = {True: "with ImageNet's classification layers", False: "without its head"}


def load_into(model: keras.Model, settings: Model, path: Path) -> None:
    """Gives the backbone of a flat model the weights of a file."""
    trained = load(settings.backbone, path, str(path.parent), top=settings.top)
    copy(trained, model)


def copy(one: keras.Model, other: keras.Model) -> None:
    """Copies the weights of one model's backbone to the same backbone in another."""
    for layer, same in zip(backbone_layers(one), backbone_layers(other), strict=True):
        same.set_weights(layer.get_weights())


def load(backbone: Backbone, path: Path, place: str, *, top: bool = False) -> keras.Model:
    """A backbone by itself with the weights of a file; `place` names it in messages.

    Raises:
        ModelError: The weights are of another architecture, or the file is none.
    """
    model = backbones.standalone(backbone, top=top)
    try:
        model.load_weights(path)
        _refuse_more(path, len(model.weights))
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{place}: {path.name} does not fit: {str(error).splitlines()[0]}",
            f"the weights of a {backbone} backbone {_TOP[top]}",
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
