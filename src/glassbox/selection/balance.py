"""How often each training image is shown in an epoch, so that every class is shown equally often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draws(
    labels: NDArray[np.uint8], balance: int | Literal["largest", "smallest", "none"], seed: int
) -> NDArray[np.int32]:
    """Draws an image how often it is shown in an epoch; int32 (N,).

    A class with fewer images than asked for shows all of them equally often, but for a remainder drawn at
    random; a class with more shows a random part of them once.

    Args:
        labels: uint8 (N, classes), one-hot unless balance is `none`; no class is without an image.
        balance: Images of each class in an epoch: a number, that of the `largest` or `smallest` class, or
            `none` for every image once.
        seed: Seed of the draw.
    """
    shown = np.ones(len(labels), np.int32)
    if balance == "none":
        return shown
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(column) for column in labels.T]
    sizes = [len(images) for images in members]
    target = {"largest": max(sizes), "smallest": min(sizes)}.get(str(balance)) or int(balance)
    for images in members:
        each, remainder = divmod(target, len(images))
        shown[images] = each
        shown[generator.permutation(images)[:remainder]] += 1
    return shown
