"""From the bytes of a PNG or JPEG to a square grey image of a given size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


class Decoded(NamedTuple):
    """An image as it is stored, and what it was.

    Attributes:
        pixels: uint8 (size, size), 0-255.
        width: Width of the original in pixels.
        height: Height of the original in pixels.
        channels: Channels of the original (1, 3 or 4).
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    channels: int


class UnreadableImageError(ValueError):
    """The bytes are no whole image of a kind that is read; the text says why, for `rejected.parquet`."""


def decode(content: bytes, size: int) -> Decoded:
    """Decodes an image, turns it grey (Rec. 601 luma, alpha ignored) and scales it to `size` x `size`.

    Shrinking takes the mean over each pixel's area, enlarging interpolates linearly; sides of unequal length
    are scaled apart, as the published systems did. 16-bit images are scaled to 0-255.

    Raises:
        UnreadableImageError: The content is empty, cut off, damaged, or neither PNG nor JPEG.
    """
    _check_whole(content)
    try:
        stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # a header that claims more pixels than OpenCV takes
        raise UnreadableImageError(f"damaged: OpenCV refuses it ({error.err})") from None
    if stored is None:
        raise UnreadableImageError("damaged: OpenCV cannot decode it")
    grey = _grey(_eight_bits(stored))
    height, width = grey.shape
    shrinks = width >= size and height >= size
    pixels = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return Decoded(np.asarray(pixels, np.uint8), width, height, stored.shape[2] if stored.ndim == 3 else 1)


def _check_whole(content: bytes) -> None:
    """Refuses what decoders would pad with grey and pass on."""
    if not content:
        raise UnreadableImageError("empty")
    if content.startswith(_PNG):
        whole = b"IEND" in content[-64:]
    elif content.startswith(_JPEG):
        whole = b"\xff\xd9" in content[-64:]
    else:
        raise UnreadableImageError(f"neither PNG nor JPEG: begins with {content[:4].hex()}")
    if not whole:
        raise UnreadableImageError("cut off: the end of the image is missing")


def _eight_bits(stored: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    if stored.dtype == np.uint8:
        return stored.astype(np.uint8, copy=False)
    if stored.dtype == np.uint16:
        return ((stored.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise UnreadableImageError(f"has pixels of type {stored.dtype}")


def _grey(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if stored.ndim == 2:
        return stored
    code = {3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}.get(stored.shape[2])
    if code is None:
        raise UnreadableImageError(f"has {stored.shape[2]} channels")
    return np.asarray(cv2.cvtColor(stored, code), np.uint8)
