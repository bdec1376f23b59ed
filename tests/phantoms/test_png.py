import hashlib

import cv2
import numpy as np
import pytest

from glassbox.phantoms import png


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def _gradient(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return ((rows * rows + 3 * columns + rows * columns // 7) % 251).astype(np.uint8)


def _decoded(stream: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    "pixels",
    [
        _noise(33, 47),
        _gradient(64, 50),
        np.full((9, 9), 255, np.uint8),
        _noise(1, 1),
        _noise(1, 40),
        _noise(40, 1),
    ],
    ids=["noise", "gradient", "flat", "pixel", "row", "column"],
)
def test_a_grey_png_decodes_to_the_same_pixels(pixels: np.ndarray) -> None:
    assert np.array_equal(_decoded(png.encode(pixels)), pixels)


@pytest.mark.parametrize("pixels", [_noise(21, 34, 4), np.dstack([_gradient(32, 32)] * 4)])
def test_an_rgba_png_decodes_to_the_same_pixels(pixels: np.ndarray) -> None:
    assert np.array_equal(_decoded(png.encode(pixels)), cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))


def test_every_row_filter_of_the_format_is_used_and_understood() -> None:
    rows = np.zeros((6, 64), np.uint8)
    rows[1] = np.arange(64) * 3
    rows[2] = _noise(64)
    rows[3] = rows[2] + 1
    for column in range(64):
        rows[4, column] = (int(rows[4, column - 1]) * (column > 0) + int(rows[3, column])) // 2
    # A jump in the row above is followed, as is the slope within the row.
    rows[5] = rows[4]
    rows[5, 32:] = rows[5, 31]
    filters = np.frombuffer(png._filtered(rows, 1), np.uint8).reshape(6, 65)[:, 0]
    assert filters.tolist() == [0, 1, 0, 2, 3, 4]
    assert np.array_equal(_decoded(png.encode(rows)), rows)


def test_the_stream_is_smaller_than_the_pixels_it_holds() -> None:
    assert len(png.encode(_gradient(128, 128))) < 128 * 128 // 2


def test_the_bytes_are_pinned() -> None:
    streams = png.encode(_gradient(40, 30)) + png.encode(_noise(8, 8, 4))
    assert (
        hashlib.sha256(streams).hexdigest() == "26c0871e68626e5ecb5e8f61a4966120445d2aa9acc70afc84063de57aa4a524"
    )


@pytest.mark.parametrize("pixels", [np.zeros((4, 4)), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)])
def test_what_is_no_8_bit_grey_or_rgba_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="is needed"):
        png.encode(pixels)
