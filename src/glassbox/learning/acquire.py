"""The weights stage: initial weights as data, or a marker that random ones are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.files import atomic
from glassbox.params import NoWeights

if TYPE_CHECKING:
    from glassbox.params import Params


def make(params: Params, name: str) -> None:
    """Writes `layout.weights(name)`: a Keras weights file of the backbone, or the marker.

    Raises:
        ModelError: The weights cannot be had, are not the promised ones, or are of another architecture.
    """
    settings = params.weights[name]
    with atomic(layout.weights(name)) as folder:
        folder.mkdir()
        if isinstance(settings, NoWeights):
            (folder / layout.NO_WEIGHTS).touch()
        else:
            # Keras takes seconds to import, for which a marker need not wait.
            from glassbox.learning.origins import obtain

            obtain(settings, f"weights.{name}").save_weights(folder / layout.WEIGHTS)
