"""The pixels of the 2018 article on infiltration, through scikit-image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resize(stored: NDArray[np.uint8] | NDArray[np.uint16], size: int) -> NDArray[np.uint8]:
    """What the article's script made of a film.

    `plt.imread` gave it values of 0-1, `rgb2gray` took the colours of an RGBA film and left its alpha, `resize` of
    that year did not smooth before shrinking and took what lies beyond the border for black; then each image was
    stretched from its least to its greatest value and truncated to 0-255. A constant image, which it would have
    divided by zero, is black.

    Args:
        stored: uint8 or uint16; (height, width), or with 3 or 4 channels in the order R, G, B, A.
        size: Width and height of the result in pixels.

    Returns:
        uint8 (size, size).
    """
    # Half a second of import, which only this method needs.
    from skimage.color import rgb2gray
    from skimage.transform import resize as skimage_resize

    values = stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    grey = values if values.ndim == 2 else rgb2gray(values[..., :3])
    scaled = skimage_resize(grey, (size, size), mode="constant", anti_aliasing=False)
    least, greatest = scaled.min(), scaled.max()
    if least == greatest:
        return np.zeros((size, size), np.uint8)
    stretched: NDArray[np.uint8] = ((scaled - least) / (greatest - least) * 255).astype(np.uint8)
    return stretched
