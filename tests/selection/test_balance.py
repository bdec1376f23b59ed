import numpy as np
import pytest

from glassbox.selection import balance as balancing

# 70 negative and 23 positive images, mixed.
POSITIVE = np.random.default_rng(2).permutation(np.arange(93) < 23)
LABELS = np.stack([~POSITIVE, POSITIVE], axis=1).astype(np.uint8)
# 60, 25, 7 and 1 images of four classes, mixed.
CLASS = np.random.default_rng(4).permutation(np.repeat(np.arange(4), [60, 25, 7, 1]))
NAMES = [f"{number}.png" for number in range(93)]


def draws(labels, balance, seed, names=NAMES):
    return balancing.draws(names[: len(labels)], labels, balance, seed)


def test_without_balancing_every_image_is_shown_once():
    assert (draws(LABELS, "none", 1) == 1).all()


@pytest.mark.parametrize(
    ("balance", "shown"), [("largest", 70), ("smallest", 23), (10, 10), (50, 50), (70, 70), (500, 500)]
)
@pytest.mark.parametrize("seed", [0, 7])
def test_both_classes_are_shown_equally_often(balance, shown, seed):
    often = draws(LABELS, balance, seed)
    assert often.dtype == np.int32
    assert often[POSITIVE].sum() == often[~POSITIVE].sum() == shown


@pytest.mark.parametrize("balance", ["largest", "smallest", 1, 10, 50, 161, 500])
def test_the_images_of_a_class_are_shown_as_equally_as_whole_numbers_allow(balance):
    often = draws(LABELS, balance, 7)
    for members in (POSITIVE, ~POSITIVE):
        each = often[members].sum() / members.sum()
        assert set(often[members]) == {int(np.floor(each)), int(np.ceil(each))}


def test_the_larger_class_loses_no_image_and_gains_none_when_the_smaller_is_raised_to_it():
    assert (draws(LABELS, "largest", 7)[~POSITIVE] == 1).all()


def test_classes_of_equal_size_stay_as_they_are():
    assert (draws(np.eye(2, dtype=np.uint8)[[1, 0, 0, 1]], "largest", 7) == 1).all()


def test_the_remainder_is_drawn_from_the_seed():
    once, again, other = (draws(LABELS, "largest", seed) for seed in (7, 7, 8))
    assert (once == again).all()
    assert (once != other).any()


@pytest.mark.parametrize("balance", [4, 10, 50, 161, 500])
def test_the_draws_of_an_image_do_not_depend_on_the_order_and_only_as_needed_on_the_others(balance):
    often = dict(zip(NAMES, draws(LABELS, balance, 7), strict=True))
    turned = draws(LABELS[::-1], balance, 7, NAMES[::-1])
    assert dict(zip(NAMES[::-1], turned, strict=True)) == often
    for gone, name in enumerate(NAMES):
        kept = [other for other in NAMES if other != name]
        now = dict(zip(kept, draws(np.delete(LABELS, gone, axis=0), balance, 7, kept), strict=True))
        more = {other: now[other] - often[other] for other in kept if now[other] != often[other]}
        # Its draws go to as many others of its class.
        assert sum(more.values()) == often[name]
        assert set(more.values()) <= {1}
        assert all(POSITIVE[NAMES.index(other)] == POSITIVE[gone] for other in more)


@pytest.mark.parametrize(
    ("balance", "shown"), [("largest", 60), ("smallest", 1), (10, 10), (61, 61), ("none", [60, 25, 7, 1])]
)
def test_any_number_of_classes_is_shown_equally_often(balance, shown):
    often = draws(np.eye(4, dtype=np.uint8)[CLASS], balance, 7)
    assert (np.bincount(CLASS, often) == shown).all()


@pytest.mark.parametrize(
    ("balance", "shown"),
    [("largest", [1, 2, 1, 1, 3, 1, 1, 2, 1, 1]), ("smallest", [0, 1, 0, 1, 1, 1, 1, 1, 0, 0])],
)
def test_the_draw_of_a_seed_never_changes(balance, shown):
    labels = np.eye(2, dtype=np.uint8)[[0, 1, 0, 0, 1, 0, 0, 1, 0, 0]]
    assert draws(labels, balance, 7).tolist() == shown
