import numpy as np
import pytest

from glassbox.selection.balance import draws

# 70 negative and 23 positive images, mixed.
POSITIVE = np.random.default_rng(2).permutation(np.arange(93) < 23)


def test_without_balancing_every_image_is_shown_once():
    assert (draws(POSITIVE, "none", 1) == 1).all()


@pytest.mark.parametrize(
    ("balance", "shown"), [("largest", 70), ("smallest", 23), (10, 10), (50, 50), (70, 70), (500, 500)]
)
@pytest.mark.parametrize("seed", [0, 7])
def test_both_classes_are_shown_equally_often(balance, shown, seed):
    often = draws(POSITIVE, balance, seed)
    assert often.dtype == np.int32
    assert often[POSITIVE].sum() == often[~POSITIVE].sum() == shown


@pytest.mark.parametrize("balance", ["largest", "smallest", 1, 10, 50, 161, 500])
def test_the_images_of_a_class_are_shown_as_equally_as_whole_numbers_allow(balance):
    often = draws(POSITIVE, balance, 7)
    for members in (POSITIVE, ~POSITIVE):
        each = often[members].sum() / members.sum()
        assert set(often[members]) == {int(np.floor(each)), int(np.ceil(each))}


def test_the_larger_class_loses_no_image_and_gains_none_when_the_smaller_is_raised_to_it():
    assert (draws(POSITIVE, "largest", 7)[~POSITIVE] == 1).all()


def test_classes_of_equal_size_stay_as_they_are():
    assert (draws(np.array([True, False, False, True]), "largest", 7) == 1).all()


def test_the_remainder_is_drawn_from_the_seed():
    once, again, other = (draws(POSITIVE, "largest", seed) for seed in (7, 7, 8))
    assert (once == again).all()
    assert (once != other).any()
