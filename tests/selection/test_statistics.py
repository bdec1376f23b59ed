import numpy as np
import pytest

from glassbox.selection.statistics import mean_and_deviation
from glassbox.shards.read import Images


@pytest.fixture
def stored(make, tmp_path):
    """Images of 700 films in several shards, and their pixels."""
    rows = make.table(*["No Finding"] * 700)
    pixels = make.shards(tmp_path / "shards", rows)
    return Images(tmp_path / "shards"), pixels


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


def test_films_of_one_grey_level_have_a_deviation_of_exactly_zero(make, tmp_path):
    make.shards(tmp_path / "shards", make.table(*["No Finding"] * 700), levels=(255, 255))
    assert mean_and_deviation(Images(tmp_path / "shards"), np.arange(700)) == (255.0, 0.0)
