"""Keyed hashes: what a seed decides about an id for one purpose, whatever other ids there are."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Purpose(StrEnum):
    """What is decided. Each decides for itself: who is early in a sample is not therefore early in a fold."""

    #: Which units fall to which fold.
    FOLD = "fold"
    #: Which images are sampled.
    SAMPLE = "sample"
    #: Which images are shown once more where a class is shown more often than it has images.
    DRAWS = "draws"
    #: Which images of the training fold are trained on.
    TRAINING = "training"
    #: After which image a shard ends.
    SHARD = "shard"
    #: Which generated films have four channels.
    CHANNELS = "channels"


def number(name: str, purpose: Purpose, seed: int) -> int:
    """A number from 0 to 2^64 - 1, each as likely: the first 8 bytes of a SHA-256, the highest first.

    What is hashed is `purpose seed name` in UTF-8. No purpose has a space and a seed is of digits, so that no two
    keys are one text.
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed} {name}".encode()).digest()[:8], "big")


def ranks(names: Sequence[str], purpose: Purpose, seed: int) -> NDArray[np.int64]:
    """The rank of each name by its `number` and then, should two ever be equal, by itself; int64 (N,), from 0.

    Whoever comes or goes, the others stay in the order they have among themselves.

    Args:
        names: No two of them equal, in any order.
        purpose: What the order is for.
        seed: Its seed, not negative.
    """
    numbers = np.array([number(name, purpose, seed) for name in names], np.uint64)
    return np.argsort(np.lexsort((np.array(names, str), numbers)))
