"""From the bytes of a PNG or JPEG to a square grey image of a given size."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from glassbox.shards import png, scale
from glassbox.shards.png import UnreadableImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params.datasets import Method

_JPEG = b"\xff\xd8"
#: SOF0-SOF15: all C0-CF but the tables and the reserved one among them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Pixels a byte, at most: Huffman's codes take a bit for a block of 8 x 8 pixels, or more.
_JPEG_RATIO = 512


class Decoded(NamedTuple):
    """An image as it is stored, and what it was."""

    pixels: NDArray[np.uint8]  #: uint8 (size, size), 0-255.
    width: int  #: Width of the original in pixels.
    height: int  #: Height of the original in pixels.
    channels: int  #: Channels of the original (1, 3 or 4).


def decode(content: bytes, size: int, method: Method = "area") -> Decoded:
    """Decodes an image, turns it grey and scales it to `size` x `size`.

    8-bit grey PNGs, which nearly all of NIH's are, take the fast way of `png.grey`; everything else goes through
    OpenCV. Which way an image takes does not show in its pixels.

    Args:
        content: A whole PNG or JPEG file.
        size: Width and height to scale to, in pixels.
        method: `area`: grey by Rec. 601 luma, alpha ignored, 16 bits scaled to 0-255; shrinking takes the mean
            over each pixel's area, enlarging interpolates linearly; sides of unequal length are scaled apart, as
            the published systems did. `article`: the 2018 article's pixels.

    Raises:
        UnreadableImageError: The content is empty, cut off, damaged, or neither PNG nor JPEG.
    """
    if content.startswith(png.SIGNATURE):
        stream = png.parse(content)
        stored = png.grey(stream) if stream.is_plain_grey else None
        if stored is None:
            stored = _opencv(png.without_extras(content))
    elif content.startswith(_JPEG):
        _check_jpeg(content)
        stored = _opencv(content)
    else:
        raise UnreadableImageError(
            f"neither PNG nor JPEG: begins with {content[:4].hex()}" if content else "empty"
        )
    height, width = stored.shape[:2]
    pixels = scale.article(_rgb(stored), size) if method == "article" else scale.area(_grey(stored), size)
    return Decoded(pixels, width, height, stored.shape[2] if stored.ndim == 3 else 1)


def _check_jpeg(content: bytes) -> None:
    """Refuses what decoders would pad with grey and pass on, be it a gigapixel that a kilobyte claims."""
    if b"\xff\xd9" not in content[-64:]:
        raise UnreadableImageError("cut off: the end of the image is missing")
    height, width = _frame(content)
    if width * height > png.LARGEST:
        raise UnreadableImageError(f"claims {width:,} x {height:,} pixels, more than {png.LARGEST:,}")
    if width * height > len(content) * _JPEG_RATIO:
        raise UnreadableImageError(f"damaged: {len(content):,} bytes cannot hold {width:,} x {height:,} pixels")


def _frame(jpeg: bytes) -> tuple[int, int]:
    """Height and width that a JPEG claims: its segments are gone through up to the frame header (T.81, B.2.2)."""
    at = len(_JPEG)
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        kind = jpeg[at + 1]
        if kind in _FRAMES:
            height, width = struct.unpack_from(">HH", jpeg, at + 5)
            return height, width
        # A marker may follow fill bytes of FF.
        at += 1 if kind == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    raise UnreadableImageError("damaged: it has no frame header")


def _opencv(content: bytes) -> NDArray[Any]:
    try:
        stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:  # a header that claims more pixels than OpenCV takes
        raise UnreadableImageError(f"damaged: OpenCV refuses it ({error.err})") from None
    if stored is None:
        raise UnreadableImageError("damaged: OpenCV cannot decode it")
    if stored.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"has pixels of type {stored.dtype}")
    if stored.ndim == 3 and stored.shape[2] not in (3, 4):
        raise UnreadableImageError(f"has {stored.shape[2]} channels")
    return np.asarray(stored)


def _grey(stored: NDArray[Any]) -> NDArray[np.uint8]:
    if stored.dtype == np.uint16:
        stored = ((stored.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if stored.ndim == 2:
        return stored
    code = cv2.COLOR_BGR2GRAY if stored.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
    return np.asarray(cv2.cvtColor(stored, code), np.uint8)


def _rgb(stored: NDArray[Any]) -> NDArray[Any]:
    """OpenCV's B, G, R (and A) in the usual order."""
    return stored if stored.ndim == 2 else stored[..., [2, 1, 0, 3][: stored.shape[2]]]
