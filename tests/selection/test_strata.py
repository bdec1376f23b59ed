from collections import Counter

import numpy as np
import pandas as pd
import pytest

from glassbox.cohorts import nih
from glassbox.keyed import Purpose, number
from glassbox.selection import strata
from glassbox.selection.labels import label

BOTH = {"test": 0.2, "validation": 0.25}


def units(**sizes):
    """Units in `fine` strata of these sizes, whose first letter is the `coarse` one."""
    fine = [name for name, size in sizes.items() for _ in range(size)]
    index = [f"{name}-{place}" for place, name in enumerate(fine)]
    return pd.DataFrame({"coarse": [name[0] for name in fine], "fine": fine}, index=index)


def counts(frame, folds):
    """Fine stratum -> how many units fall to test, validation and training."""
    found = pd.crosstab(frame["fine"], folds).reindex(columns=["test", "validation", "train"], fill_value=0)
    return {fine: tuple(row) for fine, row in zip(found.index, found.to_numpy().tolist(), strict=True)}


def moved(before, now):
    """(Fold, whether it is left) -> the units of both that changed it."""
    both = before.index.intersection(now.index)
    changes = pd.DataFrame({True: before[both], False: now[both]})
    changes = changes[changes[True] != changes[False]].melt(var_name="left", value_name="fold", ignore_index=False)
    return changes.groupby(["fold", "left"]).groups


# --- folds -------------------------------------------------------------------------------------------------


def test_every_fine_stratum_gives_its_share_rounded_half_up_and_the_next_fold_its_of_the_rest():
    frame = units(a1=50, a2=30, a3=12, a4=13, b=40)
    assert counts(frame, strata.cut(frame, BOTH, 3)) == {
        "a1": (10, 10, 30),
        "a2": (6, 6, 18),
        "a3": (2, 3, 7),
        "a4": (3, 3, 7),
        "b": (8, 8, 24),
    }


def test_a_fold_is_the_head_of_the_line_of_hashes_and_the_next_what_follows():
    frame = units(a=50)
    line = sorted(frame.index, key=lambda unit: number(unit, Purpose.FOLD, 3))
    folds = strata.cut(frame, BOTH, 3)
    assert folds.index.tolist() == frame.index.tolist()
    assert folds[line].tolist() == ["test"] * 10 + ["validation"] * 10 + ["train"] * 30


def test_one_fold_alone_is_cut_and_without_any_all_is_training():
    frame = units(a=50, b=1)
    assert counts(frame[:50], strata.cut(frame[:50], {"validation": 0.1}, 3)) == {"a": (0, 5, 45)}
    assert counts(frame, strata.cut(frame, {}, 3)) == {"a": (0, 0, 50), "b": (0, 0, 1)}


def test_folds_are_the_seeds_and_do_not_depend_on_the_order():
    frame = units(a=50, b=50)
    once, again, other = (strata.cut(frame, BOTH, seed) for seed in (3, 3, 4))
    assert once.equals(again)
    assert not once.equals(other)
    turned = strata.cut(frame[::-1], BOTH, 3)
    assert turned.equals(once[::-1])


def test_another_stratum_does_not_move_a_unit():
    frame = units(a1=50, a2=30, b=40)
    folds = strata.cut(frame, BOTH, 3)
    for fine in ("a1", "b"):
        own = frame[frame["fine"] == fine]
        assert strata.cut(own, BOTH, 3).equals(folds[own.index])


@pytest.mark.parametrize("shares", [BOTH, {"test": 0.01, "validation": 0.02}, {"test": 0.9, "validation": 0.9}])
@pytest.mark.parametrize(
    "sizes", [{"a": 3, "b": 4}, {"a1": 1, "a2": 1, "a3": 1, "b": 3}, {"a1": 1, "a2": 5, "b1": 2, "b2": 2}], ids=str
)
def test_every_fold_has_a_unit_of_each_coarse_stratum_however_small_are_the_fine_ones(sizes, shares):
    frame = units(**sizes)
    found = pd.crosstab(frame["coarse"], strata.cut(frame, shares, 3))
    assert found.shape == (2, 3)
    assert found.min(axis=None) >= 1


def test_a_unit_more_or_less_lets_one_other_into_a_fold_and_one_out_of_it():
    """Of lines that are too short for their shares, too: then it may do so in two of them, once in each."""
    draw = np.random.default_rng(11)
    both_lines = 0
    for _ in range(100):
        shares = {"test": draw.choice([0.02, 0.1, 0.2, 0.5, 0.9]), "validation": draw.choice([0.05, 0.15, 0.5])}
        if draw.random() < 0.3:
            del shares["test"]
        sizes = [draw.choice([1, 2, 3, 5, 8, 40]) for _ in range(draw.choice([1, 2, 3]))]
        frame = units(**{f"a{line}": size for line, size in enumerate(sizes)})
        if len(frame) <= len(shares) + 1:
            continue
        gone = draw.choice(frame.index.tolist())
        seed = draw.integers(100)
        whole, rest = (strata.cut(part, shares, seed) for part in (frame, frame.drop(index=gone)))
        changes = moved(whole, rest)
        for members in changes.values():
            assert max(Counter(frame["fine"][members]).values()) == 1
            assert len(members) <= 2
            both_lines += len(members) == 2
        if all((found > 0).all() for found in (_quotas(frame, shares), _quotas(frame.drop(index=gone), shares))):
            assert all(set(frame["fine"][members]) == {frame["fine"][gone]} for members in changes.values())
    assert both_lines < 10


def _quotas(frame, shares):
    """What the fine strata give each fold together, by their shares alone."""
    left = frame["fine"].value_counts().to_numpy()
    taken = []
    for share in shares.values():
        taken.append(np.floor(share * left + 0.5))
        left = left - taken[-1]
    return np.array([*taken, left]).sum(axis=1)


# --- samples -----------------------------------------------------------------------------------------------


def test_a_sample_has_its_size_and_of_every_stratum_its_share():
    frame = units(a1=500, a2=300, b=201)
    drawn = frame[strata.sample(frame, 100, 3)]
    assert drawn["fine"].value_counts().to_dict() == {"a1": 50, "a2": 30, "b": 20}
    everyone = frame["fine"].value_counts()
    for size in (0, 1, 2, *range(3, 1000, 41), 1000, 1001):
        drawn = frame[strata.sample(frame, size, 3)]
        assert len(drawn) == size
        found = drawn["fine"].value_counts().reindex(everyone.index, fill_value=0)
        assert ((found - size * everyone / len(frame)).abs() < 1).all()


def test_of_a_stratum_the_first_by_their_hashes_are_in_the_sample():
    frame = units(a=60, b=40)
    drawn = frame[strata.sample(frame, 30, 3)].index
    for fine in "ab":
        line = sorted(frame.index[frame["fine"] == fine], key=lambda unit: number(unit, Purpose.SAMPLE, 3))
        size = {"a": 18, "b": 12}[fine]
        assert set(line[:size]) == {unit for unit in drawn if unit.startswith(fine)}


def test_a_sample_is_the_seeds_and_does_not_depend_on_the_order():
    frame = units(a=50, b=50)
    once, again, other = (strata.sample(frame, 31, seed) for seed in (3, 3, 4))
    assert (once == again).all()
    assert (once != other).any()
    assert (strata.sample(frame[::-1], 31, 3)[::-1] == once).all()


def test_a_unit_more_or_less_lets_one_other_into_the_sample_or_one_stratum_of_it_to_another():
    draw = np.random.default_rng(12)
    for _ in range(100):
        frame = units(**{f"a{line}": draw.choice([1, 3, 8, 40]) for line in range(draw.choice([1, 2, 5]))})
        size, seed = draw.integers(len(frame)), draw.integers(100)
        gone = draw.choice(frame.index.tolist())
        rest = frame.drop(index=gone)
        before = set(frame.index[strata.sample(frame, size, seed)])
        now = set(rest.index[strata.sample(rest, size, seed)])
        entered, left = now - before, before - now - {gone}
        assert len(entered) - len(left) == (gone in before)
        assert len(entered) <= 1


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_images_are_drawn_by_class_and_of_many_labels_by_whether_they_have_any(make, ill, task):
    question = {"binary": {"positive": "Mass"}, "single_label": {"several": "first"}, "multi_label": {}}[task]
    settings = make.settings(labels={"task": task} | question)
    rows = label(ill, settings.labels, nih.VOCABULARY, "splits.x.labels")
    found = strata.of_images(rows, settings.labels)
    assert found.index.tolist() == rows["image_id"].tolist()
    healthy = rows["findings"].map(lambda findings: findings == ["No Finding"]).to_numpy()
    assert ((found["coarse"] == "negative") == healthy).all()
    assert found["fine"].nunique() == {"binary": 2, "single_label": 15, "multi_label": 2}[task]
    assert len(found.drop_duplicates()) == found["fine"].nunique(), "a fine stratum lies within one coarse one"
