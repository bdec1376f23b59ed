"""`method: article`: the pixels that the 2018 article's script made."""

import io

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.transform import resize

from glassbox.shards.decode import decode


def _script(content, size):
    """The article's way, from the file on, with today's scikit-image told not to smooth."""
    image = plt.imread(io.BytesIO(content), "png" if content.startswith(b"\x89PNG") else "jpg")
    if image.ndim > 2:
        image = rgb2gray(image[..., :3])
    image = resize(image, (size, size), mode="constant", anti_aliasing=False)
    return ((image - image.min()) / (image.max() - image.min()) * 255).astype(np.uint8)


def _article(content, size):
    pixels = decode(content, size, "article").pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (size, size)
    return pixels


@pytest.mark.parametrize("size", [16, 33, 48, 64, 100])
@pytest.mark.parametrize(
    ("colour", "shape", "dtype"),
    [(0, (64, 80), "u1"), (0, (64, 80), "u2"), (2, (64, 80, 3), "u1"), (6, (64, 80, 4), "u1")],
    ids=["grey", "16 bits", "RGB", "RGBA"],
)
def test_a_png_gets_the_pixels_that_the_articles_script_gives_it(colour, shape, dtype, size, png):
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    content = png(values, colour, filters=(4, 1))
    assert np.array_equal(_article(content, size), _script(content, size))


def test_a_film_gets_the_pixels_that_the_articles_script_gives_it(film, png):
    content = png(film(0, 512, 512), 0, filters=(2,))
    assert np.array_equal(_article(content, 384), _script(content, 384))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_gets_the_pixels_of_the_script_within_a_level(channels, film):
    """Pillow's decoder and OpenCV's part in the last bit, and the script calculated in the type that it got."""
    stored = film() if channels == 1 else np.dstack([film(number) for number in range(3)])
    content = cv2.imencode(".jpg", stored)[1].tobytes()
    assert np.abs(_article(content, 32).astype(int) - _script(content, 32)).max() <= 1


def test_a_pixel_is_a_choice_between_four_neighbours_and_not_a_mean_over_its_area(film, png):
    pixels = film(0, 96, 160).astype(float)
    where = [(np.arange(16) + 0.5) * side / 16 - 0.5 for side in (96, 160)]
    (y, dy), (x, dx) = ((np.floor(at).astype(int), at % 1) for at in where)
    rows = [pixels[y + step][:, x] * (1 - dx) + pixels[y + step][:, x + 1] * dx for step in (0, 1)]
    chosen = rows[0] * (1 - dy[:, None]) + rows[1] * dy[:, None]
    stretched = (chosen - chosen.min()) / (chosen.max() - chosen.min()) * 255
    assert np.abs(_article(png(film(0, 96, 160), 0), 16) - stretched).max() <= 1


def test_enlarging_takes_what_lies_beyond_the_border_for_black(png):
    pixels = np.full((16, 16), 200, np.uint8)
    pixels[8, 8] = 100
    enlarged = _article(png(pixels, 0), 64)
    assert enlarged[0, 0] == 0
    assert enlarged[10:20, 10:20].min() == 255


def test_every_image_is_stretched_from_black_to_white(png, noise):
    narrow = _article(png(100 + noise(64, 64) // 16, 0), 16)
    assert (narrow.min(), narrow.max()) == (0, 255)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize(("colour", "channels"), [(0, ()), (2, (3,)), (6, (4,))])
def test_a_constant_image_is_black(level, colour, channels, png):
    assert (_article(png(np.full((32, 32, *channels), level, np.uint8), colour), 16) == 0).all()


@pytest.mark.parametrize("alpha", [0, 128])
def test_alpha_is_left_out(alpha, png, noise):
    rgb = noise(32, 32, 3)
    rgba = np.dstack([rgb, np.full((32, 32), alpha, np.uint8)])
    assert np.array_equal(_article(png(rgba, 6), 16), _article(png(rgb, 2), 16))


def test_the_colours_weigh_as_scikit_image_weighs_them(png):
    """Rec. 709, stretched until green is white. OpenCV's Rec. 601 would give 130 and 49."""
    three = np.zeros((32, 32, 3), np.uint8)
    for band, channel in ((slice(8), 0), (slice(8, 16), 1), (slice(16, 24), 2)):
        three[band, :, channel] = 255
    assert _article(png(three, 2), 16)[[2, 6, 10, 14], 8].tolist() == [75, 255, 25, 0]
