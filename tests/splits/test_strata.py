from collections import Counter

import numpy as np
import pandas as pd
import pytest

from glassbox.cohorts import nih
from glassbox.keyed import Purpose, number
from glassbox.splits import strata
from glassbox.splits.labels import label

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
    random = np.random.default_rng(11)
    both_lines = 0
    for _ in range(100):
        shares = {
            "test": random.choice([0.02, 0.1, 0.2, 0.5, 0.9]),
            "validation": random.choice([0.05, 0.15, 0.5]),
        }
        if random.random() < 0.3:
            del shares["test"]
        sizes = [random.choice([1, 2, 3, 5, 8, 40]) for _ in range(random.choice([1, 2, 3]))]
        frame = units(**{f"a{line}": size for line, size in enumerate(sizes)})
        if len(frame) <= len(shares) + 1:
            continue
        gone = random.choice(frame.index.tolist())
        seed = random.integers(100)
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
    sampled = frame[strata.sample(frame, 100, 3)]
    assert sampled["fine"].value_counts().to_dict() == {"a1": 50, "a2": 30, "b": 20}
    everyone = frame["fine"].value_counts()
    for size in (0, 1, 2, *range(3, 1000, 41), 1000, 1001):
        sampled = frame[strata.sample(frame, size, 3)]
        assert len(sampled) == size
        found = sampled["fine"].value_counts().reindex(everyone.index, fill_value=0)
        assert ((found - size * everyone / len(frame)).abs() < 1).all()


def test_of_a_stratum_the_first_by_their_hashes_are_in_the_sample():
    frame = units(a=60, b=40)
    sampled = frame[strata.sample(frame, 30, 3)].index
    for fine in "ab":
        line = sorted(frame.index[frame["fine"] == fine], key=lambda unit: number(unit, Purpose.SAMPLE, 3))
        size = {"a": 18, "b": 12}[fine]
        assert set(line[:size]) == {unit for unit in sampled if unit.startswith(fine)}


def test_a_sample_is_the_seeds_and_does_not_depend_on_the_order():
    frame = units(a=50, b=50)
    once, again, other = (strata.sample(frame, 31, seed) for seed in (3, 3, 4))
    assert (once == again).all()
    assert (once != other).any()
    assert (strata.sample(frame[::-1], 31, 3)[::-1] == once).all()


def test_a_unit_more_or_less_lets_one_other_into_the_sample_or_one_stratum_of_it_to_another():
    random = np.random.default_rng(12)
    for _ in range(100):
        frame = units(**{f"a{line}": random.choice([1, 3, 8, 40]) for line in range(random.choice([1, 2, 5]))})
        size, seed = random.integers(len(frame)), random.integers(100)
        gone = random.choice(frame.index.tolist())
        rest = frame.drop(index=gone)
        before = set(frame.index[strata.sample(frame, size, seed)])
        now = set(rest.index[strata.sample(rest, size, seed)])
        entered, left = now - before, before - now - {gone}
        assert len(entered) - len(left) == (gone in before)
        assert len(entered) <= 1


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_images_are_sampled_by_class_and_of_many_labels_by_whether_they_have_any(make, ill, task):
    question = {"binary": {"positive": "Mass"}, "single_label": {"several": "first"}, "multi_label": {}}[task]
    settings = make.settings(labels={"task": task} | question)
    rows = label(ill, settings.labels, nih.VOCABULARY, "splits.x.labels")
    found = strata.of_images(rows, settings.labels)
    assert found.index.tolist() == rows["image_id"].tolist()
    healthy = rows["findings"].map(lambda findings: findings == ["No Finding"]).to_numpy()
    assert ((found["coarse"] == "negative") == healthy).all()
    assert found["fine"].nunique() == {"binary": 2, "single_label": 15, "multi_label": 2}[task]
    assert len(found.drop_duplicates()) == found["fine"].nunique(), "a fine stratum lies within one coarse one"


# --- draws -------------------------------------------------------------------------------------------------

# 70 negative and 23 positive images, mixed.
POSITIVE = np.random.default_rng(2).permutation(np.arange(93) < 23)
LABELS = np.stack([~POSITIVE, POSITIVE], axis=1).astype(np.uint8)
# 60, 25, 7 and 1 images of four classes, mixed.
CLASS = np.random.default_rng(4).permutation(np.repeat(np.arange(4), [60, 25, 7, 1]))
NAMES = [f"{number}.png" for number in range(93)]


def draws(labels, balance, seed, names=NAMES):
    return strata.draws(names[: len(labels)], labels, balance, seed)


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
