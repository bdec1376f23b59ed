"""Pieces of 64 bytes that give away an image, and the search for any of them in a file, however many they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

#: Bytes of a piece.
LENGTH = 64
#: Different bytes that a piece has at least: with fewer it may stand in anybody's image.
_LEAST = 12
#: A piece is found by eight bytes of it that lie at a multiple of 56: wherever it lies, it has such a place.
_GRAM, _STEP = 8, 56
#: Pieces of an image that are compared, spread evenly over it.
_COMPARED = 2048
#: Words of eight bytes that are looked up at once, each for 56 bytes of the file.
_BLOCK = 1 << 19


def most_varied(content: bytes | memoryview) -> bytes:
    """The 64 bytes of an image with the most different values; nothing where no 64 bytes have at least twelve.

    Args:
        content: Of a file, compressed or not, or of stored pixels.
    """
    data = np.frombuffer(content, np.uint8)
    if len(data) < LENGTH:
        return b""
    every = np.lib.stride_tricks.sliding_window_view(data, LENGTH)
    spread = every[:: max(1, len(every) // _COMPARED)]
    different = _different(spread)
    # Of a piece that begins or ends in a plain area, eight bytes would be found in each such area.
    edges = np.minimum(_different(spread[:, :_GRAM]), _different(spread[:, -_GRAM:]))
    best = int(np.argmax(different + (edges > 2) * (different >= _LEAST) * LENGTH))
    return spread[best].tobytes() if different[best] >= _LEAST else b""


def _different(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    ordered = np.sort(rows, axis=1)
    found: NDArray[np.int64] = (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1
    return found


class Windows:
    """Pieces to look for. A file is read once, whatever their number.

    Args:
        pieces: Of 64 bytes each.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = sorted(set(pieces))
        if any(len(piece) != LENGTH for piece in self._pieces):
            raise ValueError(f"a piece has other than {LENGTH} bytes")
        grams = [piece[at : at + _GRAM] for piece in self._pieces for at in range(_STEP + 1)]
        words = np.frombuffer(b"".join(grams), "<u8")
        self._order = np.argsort(words, kind="stable")
        self._words, self._known = words[self._order], np.unique(words)

    def found_in(self, path: Path) -> bytes:
        """The first piece that was found in a file; nothing where none is in it."""
        if not self._pieces or path.stat().st_size < LENGTH:
            return b""
        data = np.memmap(path, np.uint8, "r")
        words = data[: len(data) // _GRAM * _GRAM].view("<u8")[:: _STEP // _GRAM]
        for start in range(0, len(words), _BLOCK):
            block = words[start : start + _BLOCK]
            near = self._known[np.minimum(np.searchsorted(self._known, block), len(self._known) - 1)]
            for at in np.flatnonzero(near == block).tolist():
                if piece := self._at(data, (start + at) * _STEP, block[at]):
                    return piece
        return b""

    def _at(self, data: NDArray[np.uint8], place: int, word: np.uint64) -> bytes:
        """The piece around a place in a file whose eight bytes there are a word, if one is."""
        low, high = np.searchsorted(self._words, word, "left"), np.searchsorted(self._words, word, "right")
        for number in self._order[low:high].tolist():
            piece, offset = divmod(number, _STEP + 1)
            found, start = self._pieces[piece], place - offset
            if start >= 0 and data[start : start + LENGTH].tobytes() == found:
                return bytes(found)
        return b""
