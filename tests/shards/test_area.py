"""The mean over areas: exact, the same without a compiler, and near to what others make of it."""

import cv2
import numpy as np
import pytest
from skimage.transform import resize

from glassbox.params.sources import PhantomSource
from glassbox.shards import area, compiled
from glassbox.sources import films

#: Height and width of the image, and size of the result: equal, whole and broken ratios, a pixel more than the
#: size, very unequal sides, the longest that there are.
SIZES = [
    *((16, 16, 16), (17, 16, 16), (16, 17, 16), (31, 33, 16), (32, 64, 16), (64, 32, 17), (50, 49, 48)),
    *(
        (101, 103, 16),
        (97, 16, 16),
        (16, 97, 16),
        (1024, 20, 19),
        (20, 1024, 19),
        (384, 384, 383),
        (255, 257, 256),
    ),
    *((1024, 1024, 384), (1024, 1024, 224), (1000, 1500, 299), (65_536, 16, 16), (16, 65_536, 16)),
]


def _contents(noise, height, width):
    """Noise of all levels, black and white only, and the extremes of every sum."""
    draw = noise(height, width, number=height + width)
    return [
        draw,
        255 * (draw & 1),
        np.zeros_like(draw),
        np.full_like(draw, 255),
        np.full_like(draw, 254) + (draw & 1),
    ]


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_with_a_compiler_and_without_the_same_bytes_come_out(height, width, size, noise, request):
    assert compiled.load().kernels is not None, compiled.load().reason
    images = _contents(noise, height, width)
    fast = [area.shrink(image, size) for image in images]
    request.getfixturevalue("without_compiler")
    for image, found in zip(images, fast, strict=True):
        assert found.dtype == np.uint8
        assert found.shape == (size, size)
        assert np.array_equal(area.shrink(image, size), found)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_with_a_compiler_and_without_the_same_bytes_come_out_of_a_hundred_random_sizes(seed, noise, request):
    random = np.random.default_rng(seed)
    sizes = [(size, *random.integers(size, 8 * size, 2)) for size in random.integers(16, 120, 100).tolist()]
    fast = [area.shrink(noise(height, width), size) for size, height, width in sizes]
    request.getfixturevalue("without_compiler")
    for (size, height, width), found in zip(sizes, fast, strict=True):
        assert np.array_equal(area.shrink(noise(height, width), size), found), (height, width, size)


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
        assert np.array_equal(area.shrink(image, size), (sums + height * width / 2) // (height * width))


def test_a_half_is_rounded_up_at_every_level():
    for level in range(255):
        stripes = np.tile(np.array([level, level + 1], np.uint8), (32, 16))
        assert (area.shrink(stripes, 16) == level + 1).all()


def test_an_image_that_lies_in_another_order_or_cannot_be_written_is_shrunk_alike(noise):
    image = noise(60, 50)
    turned = np.asfortranarray(image)
    locked = image.copy()
    locked.flags.writeable = False
    for other in (turned, locked, np.dstack([image, image])[..., 1]):
        assert np.array_equal(area.shrink(other, 20), area.shrink(image, 20))


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_opencv_differs_by_one_level_at_most(height, width, size, noise):
    for image in _contents(noise, height, width):
        expected = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        assert np.abs(area.shrink(image, size).astype(int) - expected).max() <= 1


# Measured on six films: mean 0.77, 0.34, 0.37, and of a thousand pixels one differs by more than 7.1, 1.8, 2.8.
# scikit-image smooths with a Gaussian, whose tails reach over sharp edges; a mean over areas ends at its area.
@pytest.mark.parametrize(("size", "mean", "most"), [(96, 0.8, 7.5), (224, 0.4, 2.0), (384, 0.4, 3.0)])
def test_scikit_image_with_smoothing_is_near_on_generated_films(size, mean, most):
    source = PhantomSource(kind="phantom", layout="nih", seed=1, patients=50, size=512)
    images = [films.draw(film, 512) for film in films.cohort(source)[:6]]
    expected = [resize(image.astype(float), (size, size), anti_aliasing=True) for image in images]
    off = np.abs(np.stack([area.shrink(image, size) for image in images]) - np.stack(expected))
    assert off.mean() < mean
    assert np.percentile(off, 99.9) < most
