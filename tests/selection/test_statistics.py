import numpy as np
import pytest

from glassbox.artifacts.shards import Images
from glassbox.selection.statistics import mean_and_deviation


@pytest.fixture
def stored(make, project):
    """Images of 700 films in several shards, and their pixels."""
    pixels = make.shards(make.table(*["No Finding"] * 700))
    return Images("films_16"), np.array(list(pixels.values()))


def test_mean_and_deviation_are_those_of_all_pixels(stored):
    images, pixels = stored
    mean, deviation = mean_and_deviation(images, np.arange(700))
    assert mean == pytest.approx(pixels.mean(dtype=np.float64), rel=1e-12)
    assert deviation == pytest.approx(pixels.std(dtype=np.float64), rel=1e-9)


def test_only_the_images_that_are_asked_for_count_in_any_order(stored):
    images, pixels = stored
    chosen = np.random.default_rng(3).permutation(700)[:300]
    mean, deviation = mean_and_deviation(images, chosen)
    assert (mean, deviation) == pytest.approx((pixels[chosen].mean(), pixels[chosen].std()), rel=1e-9)
    assert (mean, deviation) == mean_and_deviation(images, np.sort(chosen))
    assert (mean, deviation) != mean_and_deviation(images, np.arange(700))


def test_films_of_one_grey_level_have_a_deviation_of_exactly_zero(make, project):
    make.shards(make.table(*["No Finding"] * 700), levels=(255, 255))
    assert mean_and_deviation(Images("films_16"), np.arange(700)) == (255.0, 0.0)
