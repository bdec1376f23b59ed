"""Mean and standard deviation of the training fold's pixels, in exact integer sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.artifacts.shards import Images

_BATCH = 256


def mean_and_deviation(images: Images, positions: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and population standard deviation in grey levels (0-255) over all pixels of some images.

    The sums are integers, so that the figures are the same on every machine.
    """
    total = squares = 0
    for start in range(0, len(positions), _BATCH):
        batch = images.gather(positions[start : start + _BATCH])
        counts = np.bincount(batch.ravel(), minlength=256).tolist()
        total += sum(level * count for level, count in enumerate(counts))
        squares += sum(level * level * count for level, count in enumerate(counts))
    pixels = len(positions) * images.size**2
    variance = (pixels * squares - total * total) / pixels**2
    return total / pixels, math.sqrt(variance)
