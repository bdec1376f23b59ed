"""PNG: its chunks with their CRCs, and the fast way to the pixels of 8-bit grey ones."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

import deflate
import numpy as np

from glassbox.shards import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: An image is refused above this many pixels, or with a longer side; a full-size NIH film has 1,048,576.
LARGEST, LONGEST = 1 << 28, 1 << 16
#: Channels by the colour type of the header: grey, RGB, palette, grey and alpha, RGBA.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Deflate never shrinks more than this.
_DEFLATE_RATIO = 1032
#: The critical chunks in their order; whoever finds another one must refuse the image.
_ORDER = re.compile(rb"IHDR (PLTE )?(IDAT )+IEND ")
_LAST_FILTER = 4


class UnreadableImageError(ValueError):
    """The bytes are no whole image of a kind that is read; the text says why, for `rejected.parquet`."""


class Png(NamedTuple):
    """What a PNG's header says, and its compressed image data."""

    width: int
    height: int
    depth: int  #: Bits a channel.
    colour: int  #: The header's colour type.
    interlaced: bool  #: Whether rows come in Adam7's order.
    data: bytes  #: The zlib stream of the filtered rows.

    @property
    def is_plain_grey(self) -> bool:
        """Whether `grey` can decode it: 8-bit, one channel, rows in order. That is what NIH's are."""
        return self.depth == 8 and self.colour == 0 and not self.interlaced


def parse(content: bytes) -> Png:
    """Reads the header and the image data of a PNG.

    Raises:
        UnreadableImageError: The stream is cut off or damaged, or claims more than `LARGEST` or `LONGEST`.
    """
    critical = list(_critical(content))
    if not _ORDER.fullmatch(b"".join(kind + b" " for kind, _ in critical)):
        raise UnreadableImageError("damaged: its chunks are not a header, image data and an end, in this order")
    data = b"".join(chunk[8:-4] for kind, chunk in critical if kind == b"IDAT")
    png = Png(*_header(critical[0][1][8:-4]), data)
    if png.width * png.height * png.depth * _CHANNELS[png.colour] > 8 * len(data) * _DEFLATE_RATIO:
        raise UnreadableImageError(
            f"damaged: {len(data):,} bytes cannot hold {png.width:,} x {png.height:,} pixels"
        )
    return png


def without_extras(content: bytes) -> bytes:
    """The PNG without the chunks that a decoder may ignore, and over which libpng prints warnings."""
    return b"".join((SIGNATURE, *(chunk for _, chunk in _critical(content))))


def _critical(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields each chunk that no decoder may ignore: its kind, and its length, kind, data and CRC-32.

    The CRC-32 of every chunk is checked.
    """
    view = memoryview(content)
    start, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        end = start + 12
        if end <= len(content):
            length, kind = struct.unpack_from(">I4s", content, start)
            end += length
        if end > len(content):
            raise UnreadableImageError("cut off: the end of the image is missing")
        if deflate.crc32(view[start + 4 : end - 4]) != struct.unpack_from(">I", content, end - 4)[0]:
            raise UnreadableImageError(f"damaged: chunk {kind!r} has another CRC-32 than it states")
        if not kind[0] & 0x20:
            yield kind, view[start:end]
        start = end


def _header(data: memoryview) -> tuple[int, int, int, int, bool]:
    if len(data) != 13:
        raise UnreadableImageError(f"damaged: its header has {len(data)} bytes, not 13")
    width, height, depth, colour, compression, filters, interlaced = struct.unpack(">IIBBBBB", data)
    if not width or not height or colour not in _CHANNELS:
        raise UnreadableImageError(f"damaged: its header says {width} x {height} pixels of colour type {colour}")
    if compression or filters or interlaced > 1:
        raise UnreadableImageError("damaged: its header names a method that PNG does not know")
    if width * height > LARGEST or max(width, height) > LONGEST:
        raise UnreadableImageError(
            f"claims {width:,} x {height:,} pixels, more than {LARGEST:,} or with a side of more than {LONGEST:,}"
        )
    return width, height, depth, colour, bool(interlaced)


def grey(png: Png) -> NDArray[np.uint8] | None:
    """The pixels of a plain grey PNG, uint8 (height, width); None where the compiled loops cannot be had.

    Inflated by libdeflate and unfiltered by a compiled loop, in less than half of OpenCV's time
    (`benchmarks/prepare.py`). What is damaged is refused, in the same words, with those loops or without.

    Raises:
        UnreadableImageError: The image data are damaged, or are not as many as the header says.
    """
    promised = png.height * (png.width + 1)
    try:
        stream = deflate.zlib_decompress(png.data, promised)
    except deflate.DeflateError:
        raise UnreadableImageError(f"damaged: its image data cannot be inflated to {promised:,} bytes") from None
    if len(stream) != promised:
        raise UnreadableImageError(f"damaged: {len(stream):,} bytes of image data, not {promised:,}")
    # Each row follows the number of its filter.
    rows = np.frombuffer(stream, np.uint8).reshape(png.height, png.width + 1)
    if (unknown := np.flatnonzero(rows[:, 0] > _LAST_FILTER)).size:
        raise UnreadableImageError(f"damaged: row {unknown[0]} has a filter that PNG does not know")
    if (kernels := compiled.load().kernels) is None:
        return None
    pixels = np.empty((png.height, png.width), np.uint8)
    kernels.unfilter(rows, pixels)
    return pixels
