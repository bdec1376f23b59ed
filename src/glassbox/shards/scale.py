"""Images at the size of a dataset, by either method: the mean over areas, or the 2018 article's way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from glassbox.shards import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray


def area(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The mean over each pixel's area, exactly, rounded half up; a side shorter than `size` enlarges linearly.

    Sides of unequal length are scaled apart. The compiled loop and NumPy give the same bytes.

    Args:
        image: uint8 (height, width), neither more than 65,536.
        size: Width and height of the result in pixels, which is uint8.
    """
    if min(image.shape) < size:
        # Of OpenCV's two linear ones the one that is the same on every processor.
        return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)
    if (kernels := compiled.load().kernels) is None:
        pixels = image.shape[0] * image.shape[1]
        rows = _sums(image.astype(np.int32), size)
        sums = _sums(np.ascontiguousarray(rows.T, np.int64), size).T
        return np.asarray((2 * sums + pixels) // (2 * pixels), np.uint8)
    out = np.empty((size, size), np.uint8)
    kernels.area_mean(np.ascontiguousarray(image), out)
    return out


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


def article(stored: NDArray[np.uint8] | NDArray[np.uint16], size: int) -> NDArray[np.uint8]:
    """What the script of the 2018 article on infiltration made of a film, through scikit-image itself.

    `plt.imread` gave it values of 0-1, `rgb2gray` took the colours of an RGBA film and left its alpha, `resize` of
    that year did not smooth before shrinking and took what lies beyond the border for black; then each image was
    stretched from its least to its greatest value and truncated to 0-255. A constant image, which it would have
    divided by zero, is black.

    Args:
        stored: uint8 or uint16; (height, width), or with 3 or 4 channels in the order R, G, B, A.
        size: Width and height of the result in pixels, which is uint8.
    """
    # Half a second of import, which only this method needs.
    from skimage.color import rgb2gray
    from skimage.transform import resize

    values = stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    grey = values if values.ndim == 2 else rgb2gray(values[..., :3])
    scaled = resize(grey, (size, size), mode="constant", anti_aliasing=False)
    least, greatest = scaled.min(), scaled.max()
    if least == greatest:
        return np.zeros((size, size), np.uint8)
    stretched: NDArray[np.uint8] = ((scaled - least) / (greatest - least) * 255).astype(np.uint8)
    return stretched
