"""How often each training image is shown in an epoch, so that every class is shown equally often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from glassbox.keyed import Purpose, ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draws(
    images: list[str],
    labels: NDArray[np.uint8],
    balance: int | Literal["largest", "smallest", "none"],
    seed: int,
) -> NDArray[np.int32]:
    """How often each image is shown in an epoch; int32 (N,).

    Of a class all images are shown equally often, but for a remainder of which those that come first by their
    hashes are shown once more; of a class with more images than asked for only those are shown. So an image that
    leaves gives its draws to others of its class, one that comes takes its own from them, and nothing else
    changes, as long as the class is shown as often as before.

    Args:
        images: The images' ids, N of them.
        labels: uint8 (N, classes), one-hot unless balance is `none`; no class is without an image.
        balance: Images of each class in an epoch: a number, that of the `largest` or `smallest` class, or
            `none` for every image once.
        seed: Seed of the hashes.
    """
    shown = np.ones(len(labels), np.int32)
    if balance == "none":
        return shown
    by_hash = np.argsort(ranks(images, Purpose.DRAWS, seed))
    members = [by_hash[column[by_hash] == 1] for column in labels.T]
    sizes = [len(own) for own in members]
    target = {"largest": max(sizes), "smallest": min(sizes)}.get(str(balance)) or int(balance)
    for own in members:
        each, remainder = divmod(target, len(own))
        shown[own] = each
        shown[own[:remainder]] += 1
    return shown
