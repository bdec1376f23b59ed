import numpy as np
import pandas as pd
import pytest

from glassbox.artifacts.split import FOLDS
from glassbox.cohorts import nih
from glassbox.selection import split
from glassbox.selection.errors import SplitError
from glassbox.selection.labels import columns

SINGLE = {"task": "single_label", "several": "first"}
MULTI = {"task": "multi_label"}
BY_IMAGE = {"procedure": "by_image", "official_test": False, "test": 0.1, "validation": 0.1}
ROWS = {
    "procedure": "rows_with_replacement",
    "official_test": False,
    "test": 0.25,
    "validation": 0.2,
    "rows_a_class": 200,
}


@pytest.fixture
def select(make):
    def select(rows, **changes):
        return split.select(rows, make.settings(**changes), nih.VOCABULARY, "splits.x")

    return select


def in_several(made, column):
    """How many values of a column are in more than one fold."""
    pairs = made[[column, "fold"]].drop_duplicates()
    return int((pairs[column].value_counts() > 1).sum())


def shown(made, *by):
    return made.groupby(list(by))["draws"].sum()


# --- by image ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [None, SINGLE, MULTI], ids=["binary", "single_label", "multi_label"])
def test_by_image_patients_are_in_several_folds_and_images_in_one(select, ill, labels):
    made = select(ill, **BY_IMAGE, **({"labels": labels} if labels else {}))
    assert in_several(made, "patient_id") > 30
    assert made["image_id"].is_unique
    assert (made["draws"] == 1).all()


def test_by_image_folds_are_shares_of_the_images_of_each_class(select, ill):
    made = select(ill, **BY_IMAGE, labels=SINGLE)
    counts = made.groupby("fold")[columns(made)].sum().T
    for fold, share in (("test", 0.1), ("validation", 0.09)):
        assert counts[fold].sum() == pytest.approx(share * len(made), rel=0.02)
        assert ((counts[fold] - share * counts.sum(axis=1)).abs() <= 0.6).all()


def test_by_image_of_many_labels_folds_have_their_share_of_healthy_images(select, ill):
    made = select(ill, **BY_IMAGE, labels=MULTI)
    shares = made.groupby("fold")["label_No Finding"].mean()
    assert shares.max() - shares.min() < 0.01


# --- rows drawn with replacement ---------------------------------------------------------------------------


def test_as_many_rows_of_each_class_are_drawn_and_split_as_asked(select, films):
    made = select(films, **ROWS)
    assert shown(made, "fold").to_dict() == {"test": 100, "train": 240, "validation": 60}
    assert shown(made, "fold", "label_Infiltration").tolist() == [50, 50, 120, 120, 30, 30]


def test_rows_are_stratified_by_sex_too(select, films):
    made = select(films, **ROWS).merge(films[["image_id", "sex"]], on="image_id")
    strata = ["label_Infiltration", "sex"]
    for fold, share in (("test", 0.25), ("validation", 0.15)):
        drawn = shown(made[made["fold"] == fold], *strata)
        assert ((drawn - share * shown(made, *strata)).abs() <= 1).all()


def test_an_image_that_was_drawn_often_is_in_several_folds_and_counted_in_each(select, films):
    made = select(films, **ROWS | {"rows_a_class": 400})
    assert not made.duplicated(["image_id", "fold"]).any()
    assert in_several(made, "image_id") > 20
    for fold in FOLDS:
        assert (made.loc[made["fold"] == fold, "draws"] > 1).any()


def test_rows_are_drawn_with_replacement_from_the_images_of_their_class(select, films):
    made = select(films, **ROWS | {"rows_a_class": 5_000})
    often = shown(made, "label_Infiltration", "image_id")
    for positive in (0, 1):
        images = len(often[positive])
        assert images == made.loc[made["label_Infiltration"] == positive, "image_id"].nunique()
        assert often[positive].var() == pytest.approx(5_000 / images, rel=0.35), "drawn like rain, not dealt out"


def test_of_many_labels_rows_are_drawn_for_each_class_and_bring_their_other_findings(select, ill):
    made = select(ill, **ROWS, labels=MULTI)
    assert made["draws"].sum() == 15 * 200
    often = {name: (made[name] * made["draws"]).sum() for name in columns(made)}
    assert often.pop("label_No Finding") == 200
    assert min(often.values()) > 200


def test_of_single_labels_every_class_has_its_rows_in_every_fold(select, ill):
    made = select(ill, **ROWS, labels=SINGLE)
    for name in columns(made):
        # A row more or less, as both sexes are cut by their own share.
        rows = shown(made[made[name] == 1], "fold").to_dict()
        assert rows == {
            fold: pytest.approx(size, abs=1) for fold, size in (("test", 50), ("train", 120), ("validation", 30))
        }


# --- the test fold as validation ---------------------------------------------------------------------------


@pytest.mark.parametrize("procedure", ["by_patient", "by_image", "rows_with_replacement"])
def test_the_test_fold_is_the_validation_fold_once_more(select, films, procedure):
    changes = {"by_patient": {}, "by_image": BY_IMAGE, "rows_with_replacement": ROWS}[procedure]
    made = select(films, **changes | {"validation": "test"})
    validation, test = (made[made["fold"] == fold].drop(columns="fold") for fold in ("validation", "test"))
    pd.testing.assert_frame_equal(validation.reset_index(drop=True), test.reset_index(drop=True))
    apart = select(films, **changes)
    pd.testing.assert_frame_equal(
        test.reset_index(drop=True),
        apart[apart["fold"] == "test"].drop(columns="fold").reset_index(drop=True),
    )
    assert set(made["image_id"]) == set(apart["image_id"]), "who was to be validated on is trained on"


def test_no_patient_that_is_trained_on_is_in_a_test_fold_that_validates_by_patient(select, films):
    made = select(films, validation="test")
    train = made["fold"] == "train"
    assert not set(made.loc[train, "patient_id"]) & set(made.loc[~train, "patient_id"])


def test_only_training_is_balanced_when_the_test_fold_validates(select, films):
    made = select(films, validation="test", balance="largest")
    assert (made.loc[made["fold"] != "train", "draws"] == 1).all()
    healthy, infiltrated = shown(made[made["fold"] == "train"], "label_Infiltration")
    assert healthy == infiltrated


# --- all of them -------------------------------------------------------------------------------------------

EACH = {
    "by_patient": {"official_test": False},
    "by_patient, many labels": {"official_test": False, "labels": MULTI},
    "by_image": BY_IMAGE,
    "by_image, validated on test": BY_IMAGE | {"validation": "test"},
    "rows": ROWS,
    "rows, many labels": ROWS | {"labels": MULTI},
    "rows, validated on test": ROWS | {"validation": "test"},
}


@pytest.mark.parametrize("changes", EACH.values(), ids=EACH)
def test_rows_are_in_the_catalogs_order_and_those_of_one_image_in_that_of_the_folds(select, ill, changes):
    made = select(ill, **changes)
    place = made["image_id"].map(dict(zip(ill["image_id"], range(len(ill)), strict=True)))
    order = place * len(FOLDS) + made["fold"].map(dict(zip(FOLDS, range(3), strict=True)))
    assert (np.diff(order) > 0).all()


@pytest.mark.parametrize("changes", EACH.values(), ids=EACH)
def test_another_seed_makes_other_folds_and_the_order_of_the_catalog_none(select, ill, changes):
    once, again, other = (select(ill, **changes, seed=seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(once, again)
    assert not once[["image_id", "fold", "draws"]].equals(other[["image_id", "fold", "draws"]])
    turned = select(ill[::-1], **changes, seed=5)
    key = ["image_id", "fold"]
    pd.testing.assert_frame_equal(
        once.sort_values(key, ignore_index=True), turned.sort_values(key, ignore_index=True)
    )


def test_too_few_images_or_rows_are_refused_as_such(make, select):
    rows = make.table("No Finding", "Infiltration", "No Finding")
    for changes, found in (
        (BY_IMAGE, "splits.x: 3 images (2 negative, 1 positive)"),
        (ROWS | {"rows_a_class": 2}, "splits.x: 4 rows (2 Infiltration, 2 No Finding)"),
    ):
        with pytest.raises(SplitError) as refusal:
            select(rows, **changes)
        assert refusal.value.found == f"{found} are too few to cut a test and a validation fold of them"
        what = found.split()[2]
        assert refusal.value.expected == f"at least 3 {what} of each class"
        assert refusal.value.action == f"use more {what}"
