"""Shrinking by the mean over each pixel's area, exactly: the same bytes from the compiled loop and from NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from glassbox.shards import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shrink(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The mean over each pixel's area, rounded half up; sides of unequal length are shrunk apart.

    Args:
        image: uint8 (height, width), neither less than `size` nor more than 65,536.
        size: Width and height of the result in pixels.

    Returns:
        uint8 (size, size).
    """
    if (kernels := compiled.load().kernels) is None:
        return _without_compiler(image, size)
    out = np.empty((size, size), np.uint8)
    kernels.area_mean(np.ascontiguousarray(image), out)
    return out


def _without_compiler(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    area = image.shape[0] * image.shape[1]
    rows = _sums(image.astype(np.int32), size)
    sums = _sums(np.ascontiguousarray(rows.T, np.int64), size).T
    return np.asarray((2 * sums + area) // (2 * area), np.uint8)


def _sums(image: NDArray[Any], size: int) -> NDArray[Any]:
    """Sums of `size` stretches of rows of equal length, a whole row counting `size` times; (size, width).

    A stretch is as long as the image is high and a row `size` long, so that every part of a row is a whole number.
    """
    height = image.shape[0]
    begin = np.arange(size) * height
    sums = np.zeros((size, image.shape[1]), image.dtype)
    for further in range(-(-height // size) + 1):
        row = begin // size + further
        units = np.minimum(begin + height, (row + 1) * size) - np.maximum(begin, row * size)
        sums += np.maximum(units, 0).astype(image.dtype)[:, None] * image[np.minimum(row, height - 1)]
    return sums
