"""PNG streams that are the same bytes on every machine."""

from __future__ import annotations

import binascii
import struct

import deflate
import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Channels -> the colour type of the header.
_COLOUR_TYPES = {1: 0, 4: 6}
_COMPRESSION_LEVEL = 6


def encode(pixels: np.ndarray) -> bytes:
    """Encodes an image as an 8-bit PNG, grey or RGBA.

    The deflate stream is libdeflate's, whose bytes depend on its version only; those of zlib differ between
    builds and processors.

    Args:
        pixels: uint8 (height, width) for grey, or (height, width, 4) for RGBA, neither side empty.

    Raises:
        ValueError: The array has another type or shape.
    """
    rgba = pixels.ndim == 3 and pixels.shape[2] == 4
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or rgba) or pixels.size == 0:
        raise ValueError(f"an image of {pixels.dtype} {pixels.shape}: uint8 (H, W) or (H, W, 4) is needed")
    height, width = pixels.shape[:2]
    channels = 4 if rgba else 1
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    stream = deflate.zlib_compress(_filtered(pixels.reshape(height, -1), channels), _COMPRESSION_LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", binascii.crc32(kind + data))


def _filtered(rows: np.ndarray, channels: int) -> bytes:
    """Each row with the filter whose residuals, read as signed bytes, have the least sum of magnitudes.

    That is the rule which the PNG specification recommends; of equals the first filter wins.
    """
    padded = np.zeros((rows.shape[0] + 1, rows.shape[1] + channels), np.uint8)
    padded[1:, channels:] = rows
    above, left, above_left = padded[:-1, channels:], padded[1:, :-channels], padded[:-1, :-channels]
    average = ((left.astype(np.uint16) + above) >> 1).astype(np.uint8)
    predictions = (np.uint8(0), left, above, average, _paeth(left, above, above_left))

    # uint8 wraps around, as the format asks for.
    residuals = np.stack([rows - prediction for prediction in predictions])
    costs = np.minimum(residuals, -residuals).sum(axis=2, dtype=np.int64)
    chosen = costs.argmin(axis=0)
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    out[:, 0] = chosen
    out[:, 1:] = residuals[chosen, np.arange(rows.shape[0])]
    return out.tobytes()


def _paeth(left: np.ndarray, above: np.ndarray, above_left: np.ndarray) -> np.ndarray:
    """Of the three neighbours the one nearest to left + above - above_left; ties fall in this order."""
    a, b, c = (neighbour.astype(np.int16) for neighbour in (left, above, above_left))
    to_left, to_above, to_corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    nearest = np.where(to_above <= to_corner, above, above_left)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
