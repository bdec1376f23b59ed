"""What a patient who leaves a catalog, or joins it, changes for the others: as good as nothing."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from glassbox.artifacts.split import FOLDS
from glassbox.artifacts.split import labels as columns
from glassbox.cohorts import nih
from glassbox.splits import build as split
from glassbox.splits.labels import positive

OURS = {"official_test": False, "test": 0.2, "validation": 0.25}
EACH = {
    "a test fold of a fifth": OURS,
    "the official test list": {"official_test": True, "validation": 0.15},
    "validated on test": OURS | {"validation": "test"},
    "balanced": OURS | {"balance": "largest"},
    "single labels": OURS | {"labels": {"task": "single_label", "several": "first"}, "balance": 60},
    "many labels": OURS | {"labels": {"task": "multi_label"}},
}


@pytest.fixture(scope="module")
def select(make):
    def select(rows, **changes):
        return split.select(rows, make.settings(**changes), nih.VOCABULARY, "splits.x")

    return select


def stratum(rows, made):
    """Patient -> the stratum by which a split has cut them."""
    patients = made.assign(positive=positive(made)).groupby("patient_id")["positive"].any()
    sex = rows.drop_duplicates("patient_id").set_index("patient_id")["sex"]
    return patients.astype(str) + sex[patients.index]


def removals(rows, count):
    """The catalog without one patient, for some of the patients; read from right to left, the patient joins."""
    for patient in np.random.default_rng(5).choice(sorted(rows["patient_id"].unique()), count, replace=False):
        yield patient, rows[rows["patient_id"] != patient]


def crossings(before, now, unit="patient_id"):
    """Fold -> the others that entered it, and those that left it."""
    sides = [made.groupby("fold")[unit].agg(set).to_dict() for made in (before, now)]
    both = set(before[unit]) & set(now[unit])
    return {
        fold: (sides[1][fold] & both - sides[0][fold], sides[0][fold] & both - sides[1][fold]) for fold in FOLDS
    }


@pytest.mark.parametrize("changes", EACH.values(), ids=EACH)
def test_a_patient_less_lets_one_other_into_a_fold_of_the_stratum_at_most_and_one_out(select, ill, changes):
    before = select(ill, **changes)
    of = stratum(ill, before)
    crossed = Counter()
    for patient, rest in removals(ill, 15):
        now = select(rest, **changes)
        assert set(now["patient_id"]) == set(before["patient_id"]) - {patient}
        for ways in crossings(before, now).values():
            for others in ways:
                assert len(others) <= 1
                assert set(of[list(others)]) <= {of.get(patient)}
                crossed[len(others)] += 1
    assert crossed[1] > 0, "some of the removed were not trained on"


@pytest.mark.parametrize("task", [{"task": "single_label", "several": "first"}, {"task": "multi_label"}], ids=str)
def test_by_image_an_image_less_moves_one_other_into_a_fold_at_most_and_one_out(select, ill, task):
    changes = OURS | {"procedure": "by_image", "labels": task}
    before = select(ill, **changes)
    for image in np.random.default_rng(6).choice(ill["image_id"].to_numpy(str), 10, replace=False):
        now = select(ill[ill["image_id"] != image], **changes)
        for entered, left in crossings(before, now, "image_id").values():
            assert len(entered) <= 1
            assert len(left) <= 1


@pytest.mark.parametrize("official", [False, True])
def test_a_sample_takes_as_many_other_images_as_it_loses_and_folds_change_by_the_patients_it_changes(
    select, ill, official
):
    changes = OURS | {"sample": 400, "labels": {"task": "multi_label"}, "official_test": official}
    before = select(ill, **changes)
    of = stratum(ill, before)
    for patient, rest in removals(ill, 15):
        now = select(rest, **changes)
        assert len(now) == 400
        lost = set(before.loc[before["patient_id"] == patient, "image_id"])
        entered, left = (
            set(now["image_id"]) - set(before["image_id"]),
            set(before["image_id"]) - set(now["image_id"]),
        )
        assert lost <= left
        assert len(left) <= (ill["patient_id"] == patient).sum()
        assert len(entered) == len(left)
        # Patients of whom an image entered or left may be new, gone or of another stratum.
        after = stratum(rest, now)
        met = {other for other in set(of.index) | set(after.index) if of.get(other) != after.get(other)}
        for ways in crossings(before, now).values():
            for others in ways:
                assert max([*Counter(of[sorted(others - met)]).values(), 0]) <= len(met)


@pytest.mark.parametrize("balance", ["largest", "smallest", 60])
def test_an_image_is_shown_as_often_as_before_unless_the_draws_of_one_that_left_fall_to_it(select, ill, balance):
    changes = EACH["single labels"] | {"balance": balance}
    before = select(ill, **changes)
    kept = 0
    for _, rest in removals(ill, 10):
        now = select(rest, **changes)
        sides = [made[made["fold"] == "train"].set_index("image_id") for made in (before, now)]
        for name in columns(before):
            old, new = (side.loc[side[name] == 1, "draws"] for side in sides)
            if old.sum() != new.sum():  # the class that sets the target is not what it was
                continue
            kept += 1
            both = old.index.intersection(new.index)
            needed = old.drop(both).sum() - new.drop(both).sum()
            assert (new[both] - old[both]).abs().sum() == abs(needed)
    assert kept > 50


def test_neither_the_order_of_the_catalog_nor_films_that_do_not_answer_change_anything(select, ill):
    changes = OURS | {"balance": "largest"}
    before = select(ill, **changes).sort_values("image_id", ignore_index=True)
    shuffled = ill.sample(frac=1.0, random_state=2)
    for rows in (shuffled, ill[ill["image_id"].isin(before["image_id"])]):
        now = select(rows, **changes).sort_values("image_id", ignore_index=True)
        pd.testing.assert_frame_equal(now, before)
