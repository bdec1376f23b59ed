"""What a keyed hash decides about an id depends on its purpose, its seed and the id alone."""

import hashlib
from itertools import product

import numpy as np
import pytest

from glassbox.keyed import Purpose, number, ranks

NAMES = [f"{patient:08d}_{film:03d}.png" for patient in range(700) for film in range(3)]


def test_a_number_is_the_head_of_a_sha256_of_purpose_seed_and_name():
    assert number("Jörg 1", Purpose.FOLD, 2018) == int(
        hashlib.sha256(b"fold 2018 J\xc3\xb6rg 1").hexdigest()[:16], 16
    )


def test_purposes_seeds_and_names_that_read_alike_one_after_another_are_different_keys():
    assert not any(" " in purpose for purpose in Purpose)
    keys = list(product(("1", "11", " 1", "1 1", ""), Purpose, (0, 1, 11)))
    assert len({number(*key) for key in keys}) == len(keys)


@pytest.mark.parametrize("purpose", Purpose)
def test_numbers_are_spread_evenly(purpose):
    numbers = np.array([number(name, purpose, 3) for name in NAMES], np.uint64)
    tenths = np.bincount(numbers // np.uint64(2**64 // 10), minlength=10)[:10]
    assert tenths == pytest.approx(len(NAMES) / 10, rel=0.25)
    assert np.bincount(numbers % np.uint64(10)) == pytest.approx(len(NAMES) / 10, rel=0.25)


def test_ranks_are_those_of_the_numbers_whatever_the_order_and_without_some_the_others_keep_theirs():
    found = ranks(NAMES, Purpose.FOLD, 5)
    assert found.dtype == np.int64
    by_number = sorted(NAMES, key=lambda name: number(name, Purpose.FOLD, 5))
    assert [NAMES[place] for place in np.argsort(found)] == by_number
    assert (ranks(NAMES[::-1], Purpose.FOLD, 5) == found[::-1]).all()
    few = NAMES[100:400:7]
    order = [few[place] for place in np.argsort(ranks(few, Purpose.FOLD, 5))]
    assert order == [name for name in by_number if name in few]


def test_equal_numbers_are_told_apart_by_the_names(monkeypatch):
    monkeypatch.setattr("glassbox.keyed.number", lambda *_: 7)
    assert ranks(["b", "a", "c"], Purpose.FOLD, 5).tolist() == [1, 0, 2]


def test_another_seed_or_purpose_is_another_order():
    first, seed, purpose = (
        ranks(NAMES, *key) for key in ((Purpose.FOLD, 5), (Purpose.FOLD, 6), (Purpose.SAMPLE, 5))
    )
    for other in (seed, purpose):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.1


def test_of_no_names_there_are_no_ranks():
    assert len(ranks([], Purpose.FOLD, 5)) == 0
