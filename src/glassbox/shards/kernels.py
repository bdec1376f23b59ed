"""Loops over pixels, compiled by Numba once a machine and kept in its cache: PNG's filters and the area mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


@njit(inline="always")
def _paeth(left: int, above: int, corner: int) -> int:
    """Of the three neighbours the one nearest to left + above - corner: stb_image's form, without branches."""
    threshold = 3 * corner - (left + above)
    low = min(left, above)
    high = max(left, above)
    nearest = low if high <= threshold else corner
    return high if threshold <= low else nearest


@njit(inline="always")
def _pixel(kind: int, residual: int, left: int, above: int, corner: int) -> int:
    if kind == _PAETH:
        return (residual + _paeth(left, above, corner)) & 255
    if kind == _AVERAGE:
        return (residual + ((left + above) >> 1)) & 255
    if kind == _UP:
        return (residual + above) & 255
    if kind == _SUB:
        return (residual + left) & 255
    return residual


@njit(inline="always")
def _row(kind: int, residuals: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    left = np.int32(0)
    corner = np.int32(0)
    for x in range(out.shape[0]):
        over = np.int32(above[x])
        left = _pixel(kind, np.int32(residuals[x]), left, over, corner)
        corner = over
        out[x] = left


@njit(inline="always")
def _two_rows(  # noqa: PLR0917 (Numba inlines it; it takes rows)
    first_kind: int,
    second_kind: int,
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    above: NDArray[np.uint8],
    first_out: NDArray[np.uint8],
    second_out: NDArray[np.uint8],
) -> None:
    """Two rows at once, the second a pixel behind: in one row alone each pixel waits for the one before it."""
    width = first_out.shape[0]
    corner = np.int32(above[0])
    left = _pixel(first_kind, np.int32(first[0]), np.int32(0), corner, np.int32(0))
    first_out[0] = left
    second_left = np.int32(0)
    second_corner = np.int32(0)
    for x in range(width - 1):
        behind = left
        over = np.int32(above[x + 1])
        left = _pixel(first_kind, np.int32(first[x + 1]), left, over, corner)
        corner = over
        first_out[x + 1] = left
        second_left = _pixel(second_kind, np.int32(second[x]), second_left, behind, second_corner)
        second_corner = behind
        second_out[x] = second_left
    second_out[width - 1] = _pixel(second_kind, np.int32(second[width - 1]), second_left, left, second_corner)


@njit(inline="always")
def _unfilter_row(kind: int, row: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    # A loop of its own for each filter: three of them then work on many pixels at once.
    if kind == _NONE:
        out[:] = row
    elif kind == _SUB:
        _row(_SUB, row, above, out)
    elif kind == _UP:
        _row(_UP, row, above, out)
    elif kind == _AVERAGE:
        _row(_AVERAGE, row, above, out)
    else:
        _row(_PAETH, row, above, out)


@njit("void(Array(uint8, 2, 'C', readonly=True), uint8[:, ::1])", cache=True, nogil=True)
def unfilter(rows: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Undoes the filters of an 8-bit grey PNG.

    Args:
        rows: The inflated image data, uint8 (height, 1 + width): each row after the number of its filter, 0-4.
        out: Takes the pixels, uint8 (height, width), neither side zero.
    """
    height, width = out.shape
    above = np.zeros(width, np.uint8)
    y = 0
    while y < height:
        kind = rows[y, 0]
        follower = rows[y + 1, 0] if y + 1 < height else _NONE
        if kind < _AVERAGE or follower < _AVERAGE:
            _unfilter_row(kind, rows[y, 1:], above, out[y])
            y += 1
        else:
            row, after = rows[y, 1:], rows[y + 1, 1:]
            if kind == _PAETH and follower == _PAETH:
                _two_rows(_PAETH, _PAETH, row, after, above, out[y], out[y + 1])
            elif kind == _PAETH:
                _two_rows(_PAETH, _AVERAGE, row, after, above, out[y], out[y + 1])
            elif follower == _PAETH:
                _two_rows(_AVERAGE, _PAETH, row, after, above, out[y], out[y + 1])
            else:
                _two_rows(_AVERAGE, _AVERAGE, row, after, above, out[y], out[y + 1])
            y += 2
        above = out[y - 1]


@njit(inline="always")
def _overlaps(side: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which of `side` pixels each of `size` lies over, and by how many units; (size,) and (pixels, size)."""
    most = (side + size - 1) // size + 1
    first = np.empty(size, np.int64)
    units = np.zeros((most, size))
    for i in range(size):
        begin = i * side
        first[i] = begin // size
        for k in range(most):
            pixel = (first[i] + k) * size
            units[k, i] = max(0, min(begin + side, pixel + size) - max(begin, pixel))
    return first, units


@njit("void(Array(uint8, 2, 'C', readonly=True), uint8[:, ::1])", cache=True, nogil=True)
def area_mean(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Shrinks an image to the mean over each pixel's area, rounded half up.

    A pixel of the image is `size` units wide, one of the result `width` units: all overlaps are whole numbers,
    every sum is one that a float64 holds exactly, and so the result is the same on every processor.

    Args:
        image: uint8 (height, width), neither less than `size` nor more than 65,536.
        out: Takes the result, uint8 (size, size).
    """
    height, width = image.shape
    size = out.shape[0]
    top, rows = _overlaps(height, size)
    left, columns = _overlaps(width, size)
    # Zeros beyond the width: the last overlaps reach there with no units.
    line = np.zeros(width + columns.shape[0], np.uint32)
    total = np.empty(size, np.float64)
    area = np.float64(height) * np.float64(width)
    reciprocal = 1.0 / area
    for y in range(size):
        line[:width] = 0
        for k in range(rows.shape[0]):
            units = np.uint32(rows[k, y])
            if units:
                source = image[top[y] + k]
                for x in range(width):
                    line[x] += units * np.uint32(source[x])
        total[:] = 0.5 * area
        for k in range(columns.shape[0]):
            for x in range(size):
                total[x] += columns[k, x] * line[left[x] + k]
        for x in range(size):
            # The reciprocal may be off by one step; the remainder tells.
            mean = np.floor(total[x] * reciprocal)
            remainder = total[x] - mean * area
            if remainder < 0:
                mean -= 1
            elif remainder >= area:
                mean += 1
            out[y, x] = np.uint8(mean)
