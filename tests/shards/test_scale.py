"""The mean over areas: exact, the same without a compiler; and the pixels that the 2018 article's script made."""

import io

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.transform import resize

from glassbox.params.sources import PhantomSource
from glassbox.phantoms import films
from glassbox.shards import compiled, scale
from glassbox.shards.decode import decode

#: Height and width of the image, and size of the result: equal, whole and broken ratios, a pixel more than the
#: size, very unequal sides, the longest that there are.
SIZES = [
    *((16, 16, 16), (17, 16, 16), (16, 17, 16), (31, 33, 16), (32, 64, 16), (64, 32, 17), (50, 49, 48)),
    *((101, 103, 16), (97, 16, 16), (16, 97, 16), (1024, 20, 19), (20, 1024, 19), (384, 384, 383)),
    *(
        (256, 257, 256),
        (1024, 1024, 384),
        (1024, 1024, 224),
        (1000, 1500, 299),
        (65_536, 16, 16),
        (16, 65_536, 16),
    ),
]


def _contents(noise, height, width):
    """Noise of all levels, black and white only, and the extremes of every sum."""
    levels = noise(height, width, number=height + width)
    blank = np.zeros_like(levels)
    return [levels, 255 * (levels & 1), blank, blank + 255, blank + 254 + (levels & 1)]


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_with_a_compiler_and_without_the_same_bytes_come_out(height, width, size, noise, request):
    assert compiled.load().kernels is not None, compiled.load().reason
    images = _contents(noise, height, width)
    fast = [scale.area(image, size) for image in images]
    request.getfixturevalue("without_compiler")
    for image, found in zip(images, fast, strict=True):
        assert found.dtype == np.uint8
        assert found.shape == (size, size)
        assert np.array_equal(scale.area(image, size), found)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_with_a_compiler_and_without_the_same_bytes_come_out_of_a_hundred_random_sizes(seed, noise, request):
    random = np.random.default_rng(seed)
    sizes = [(size, *random.integers(size, 8 * size, 2)) for size in random.integers(16, 120, 100).tolist()]
    fast = [scale.area(noise(height, width), size) for size, height, width in sizes]
    request.getfixturevalue("without_compiler")
    for (size, height, width), found in zip(sizes, fast, strict=True):
        assert np.array_equal(scale.area(noise(height, width), size), found), (height, width, size)


@pytest.mark.parametrize("loops", ["compiled", "without a compiler"])
@pytest.mark.parametrize("sizes", [(16, 16, 16), (17, 16, 16), (23, 37, 16), (64, 32, 17), (29, 100, 19)], ids=str)
def test_the_mean_over_an_area_is_exact_and_rounded_half_up(sizes, loops, noise, request):
    height, width, size = sizes
    if loops == "without a compiler":
        request.getfixturevalue("without_compiler")
    for image in _contents(noise, height, width):
        # Each pixel as size x size of its kind: then each area is a whole block of height x width.
        fine = image.repeat(size, axis=0).repeat(size, axis=1).astype(np.int64)
        sums = fine.reshape(size, height, size, width).sum(axis=(1, 3))
        assert np.array_equal(scale.area(image, size), (sums + height * width / 2) // (height * width))


def test_a_half_is_rounded_up_at_every_level():
    for level in range(255):
        stripes = np.tile(np.array([level, level + 1], np.uint8), (32, 16))
        assert (scale.area(stripes, 16) == level + 1).all()


def test_an_image_that_lies_in_another_order_or_cannot_be_written_is_shrunk_alike(noise):
    image = noise(60, 50)
    turned = np.asfortranarray(image)
    locked = image.copy()
    locked.flags.writeable = False
    for other in (turned, locked, np.dstack([image, image])[..., 1]):
        assert np.array_equal(scale.area(other, 20), scale.area(image, 20))


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_opencv_differs_by_one_level_at_most(height, width, size, noise):
    for image in _contents(noise, height, width):
        expected = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        assert np.abs(scale.area(image, size).astype(int) - expected).max() <= 1


# Measured on six films: mean 0.77, 0.34, 0.37, and of a thousand pixels one differs by more than 7.1, 1.8, 2.8.
# scikit-image smooths with a Gaussian, whose tails reach over sharp edges; a mean over areas ends at its area.
@pytest.mark.parametrize(("size", "mean", "most"), [(96, 0.8, 7.5), (224, 0.4, 2.0), (384, 0.4, 3.0)])
def test_scikit_image_with_smoothing_is_near_on_generated_films(size, mean, most):
    source = PhantomSource(kind="phantom", layout="nih", seed=1, patients=50, size=512)
    images = [films.render(film, 512) for film in films.cohort(source)[:6]]
    expected = [resize(image.astype(float), (size, size), anti_aliasing=True) for image in images]
    off = np.abs(np.stack([scale.area(image, size) for image in images]) - np.stack(expected))
    assert off.mean() < mean
    assert np.percentile(off, 99.9) < most


# --- the article's way -------------------------------------------------------------------------------------


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
