import numpy as np
import pandas as pd
import pytest

from glassbox.artifacts.split import FOLDS
from glassbox.artifacts.split import labels as columns
from glassbox.cohorts import nih
from glassbox.splits import build as split
from glassbox.splits.folds import assign
from glassbox.splits.labels import SplitError, label, positive

OTHER_LISTS = {
    "the archive's test list": {"official_test": True},
    "a test fold of a fifth": {"official_test": False, "test": 0.2},
}


@pytest.fixture
def cut(make):
    """The labelled rows with their fold, and whether each is positive."""

    def cut(rows, **changes):
        settings = make.settings(**changes)
        rows = label(rows, settings.labels, nih.VOCABULARY, "splits.x.labels")
        rows = assign(rows, settings, "splits.x")
        return rows.assign(positive=positive(rows))

    return cut


def strata(rows):
    """One row a patient: fold, and whether any image is positive with the sex."""
    patients = rows.groupby("patient_id").agg({"fold": "first", "positive": "any", "sex": "first"})
    return patients.assign(stratum=patients["positive"].astype(str) + patients["sex"])


@pytest.mark.parametrize("recipe", OTHER_LISTS.values(), ids=OTHER_LISTS)
@pytest.mark.parametrize("seed", range(6))
def test_no_patient_is_in_two_folds(make, cut, recipe, seed):
    rows = cut(make.cohort(seed=seed), seed=seed, **recipe)
    assert rows.groupby("patient_id").size().max() > 10, "some patients should have many films"
    assert len(rows[["patient_id", "fold"]].drop_duplicates()) == rows["patient_id"].nunique()
    assert set(rows["fold"]) == set(FOLDS)


def test_the_official_test_list_is_the_test_fold_exactly(films, cut):
    rows = cut(films)
    assert ((rows["fold"] == "test") == (rows["official_split"] == "test")).all()


def test_without_the_official_list_its_images_fall_to_all_folds(films, cut):
    rows = cut(films, official_test=False)
    assert set(rows.loc[rows["official_split"] == "test", "fold"]) == set(FOLDS)


@pytest.mark.parametrize("seed", range(4))
def test_folds_have_their_share_of_the_patients_of_each_label_and_sex(films, cut, seed):
    patients = strata(cut(films, official_test=False, test=0.2, validation=0.25, seed=seed))
    for fold, drawn_from in (("test", patients), ("validation", patients[patients["fold"] != "test"])):
        counts = pd.crosstab(drawn_from["stratum"], drawn_from["fold"] == fold)
        assert len(counts) == 4
        # As close as whole patients allow.
        share = {"test": 0.2, "validation": 0.25}[fold]
        assert ((counts[True] - share * counts.sum(axis=1)).abs() <= 0.5).all()


def test_the_same_seed_cuts_the_same_folds_and_another_others(films, cut):
    once, again, other = (cut(films, seed=seed)["fold"] for seed in (5, 5, 6))
    assert once.equals(again)
    assert not once.equals(other)
    assert (once == "test").equals(other == "test"), "the official list does not depend on the seed"


def test_folds_do_not_depend_on_the_order_of_the_rows(films, cut):
    shuffled = films.sample(frac=1.0, random_state=1)
    one, other = (cut(rows, official_test=False).set_index("image_id")["fold"] for rows in (films, shuffled))
    assert one.equals(other[one.index])


def test_a_patient_of_two_sexes_is_in_one_stratum_whatever_the_order_of_the_films(films, cut):
    both = films.assign(sex=films["sex"].where(films.index % 3 > 0, "F"))
    one, other = (cut(rows, official_test=False).set_index("image_id")["fold"] for rows in (both, both[::-1]))
    assert one.equals(other[one.index])


def test_patients_of_unknown_sex_are_a_stratum_of_their_own(films, cut):
    unknown = films["patient_id"].astype(int) % 4 == 0
    rows = cut(films.assign(sex=films["sex"].mask(unknown, None)), official_test=False)
    patients = rows[rows["sex"].isna()].groupby("patient_id")["fold"].first()
    assert (patients == "test").mean() == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("number", [0, 5], ids=["healthy", "infiltrated"])
def test_a_patient_who_is_alone_in_a_stratum_is_no_reason_to_refuse(make, cut, number):
    rows = make.table(*["No Finding"] * 5, *["Infiltration"] * 5, sex="M")
    rows.loc[number, "sex"] = "F"
    rows = cut(rows, official_test=False, test=0.2, validation=0.25)
    assert rows["fold"].value_counts().to_dict() == {"train": 6, "test": 2, "validation": 2}


def test_a_fold_of_fewer_patients_than_labels_and_sexes_still_has_both_labels(make, cut):
    rows = make.table(*["No Finding", "No Finding", "Infiltration", "Infiltration"] * 2)
    rows = cut(rows, official_test=False, test=0.2, validation=0.1)
    assert rows["fold"].value_counts().to_dict() == {"train": 4, "test": 2, "validation": 2}
    assert (rows.groupby("fold")["positive"].sum() == [1, 2, 1]).all()


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.fixture
def refusal(cut):
    """The message with which rows are refused."""

    def refusal(rows, **changes):
        with pytest.raises(SplitError) as error:
            cut(rows, **changes)
        return error.value

    return refusal


def test_a_patient_on_both_sides_of_the_official_list_is_refused(films, refusal):
    rows = films.copy()
    listed = rows[(rows["official_split"] == "test") & rows["findings"].map(lambda found: "Infiltration" in found)]
    many = listed.groupby("patient_id").filter(lambda own: len(own) > 3)
    patient = many["patient_id"].iloc[0]
    rows.loc[many.index[0], "official_split"] = "train_val"
    message = refusal(rows)
    assert message.found == f"splits.x: 1 patients of the official test list have images outside of it: {patient}"
    assert message.expected == "an official list that separates patients"
    assert "set splits.x.official_test to false" in message.action


@pytest.mark.parametrize(("official", "listed"), [("train_val", 0), ("test", 8)])
def test_an_official_list_of_none_or_all_images_is_refused(make, refusal, official, listed):
    rows = make.table(*["No Finding", "Infiltration"] * 4, official_split=official)
    message = refusal(rows)
    assert message.found == f"splits.x: {listed} of 8 images are in the official test list"
    assert message.expected == "some of them, not all"
    assert message.action.startswith("use an archive with its test list, or set splits.x.official_test to false")


def test_too_few_patients_are_refused_with_their_number(make, refusal):
    rows = make.table("No Finding", "Infiltration", "No Finding")
    message = refusal(rows, official_test=False)
    assert message.found == (
        "splits.x: 3 patients (2 negative, 1 positive) are too few to cut a test and a validation fold of them"
    )
    assert message.expected == "at least 3 patients of each class"
    assert message.action == "use more patients"
    message = refusal(rows, official_test=False, validation="test")
    assert message.found.endswith("are too few to cut a test fold of them")
    assert message.expected == "at least 2 patients of each class"


def test_a_fold_without_a_class_is_refused_with_all_counts(make, refusal):
    rows = make.table(*["No Finding", "Infiltration"] * 10)
    rows["sex"] = "M"
    rows.loc[[0, 2, 4], "official_split"] = "test"
    message = refusal(rows, validation=0.25)
    assert message.found == ("splits.x: a fold lacks a class (test: no image of 3 is labelled 'Infiltration')")
    assert message.expected == "images of each class in every fold"
    assert message.action == "use more patients, other shares or another seed"


FINDINGS = list(nih.VOCABULARY.findings)


def test_of_many_classes_the_training_fold_must_have_all(make, refusal):
    rows = make.table(*["No Finding"] * 12, *FINDINGS * 2)
    rows["official_split"] = ["train_val"] * 12 + [
        "test" if name in ("Edema", "Mass") else "train_val" for name in FINDINGS * 2
    ]
    for labels in ({"task": "multi_label"}, {"task": "single_label", "several": "first"}):
        message = refusal(rows, labels=labels, validation="test")
        assert (
            message.found == "splits.x: a fold lacks a class (train: no image of 36 is labelled 'Edema' or 'Mass')"
        )
        assert message.expected == "images of each class in the training fold"
        assert message.action == "use more patients, other shares or another seed"


def test_but_the_others_may_lack_some(make, cut):
    rows = make.table(*["No Finding"] * 12, *FINDINGS * 2)
    rows["official_split"] = (
        ["test"] * 2 + ["train_val"] * (10 + len(FINDINGS)) + ["test"] + ["train_val"] * (len(FINDINGS) - 1)
    )
    rows = cut(rows, labels={"task": "multi_label"}, validation="test")
    for fold in ("validation", "test"):
        held = rows[rows["fold"] == fold]
        assert held["findings"].map("|".join).tolist() == ["No Finding", "No Finding", "Atelectasis"]


def test_of_many_classes_patients_are_stratified_by_whether_they_have_any_finding_and_by_sex(ill, cut):
    rows = cut(ill, labels={"task": "multi_label"}, official_test=False, test=0.2, validation=0.25)
    patients = strata(rows)
    counts = pd.crosstab(patients["stratum"], patients["fold"] == "test")
    assert len(counts) == 4
    assert ((counts[True] - 0.2 * counts.sum(axis=1)).abs() <= 0.5).all()
    assert len(rows[["patient_id", "fold"]].drop_duplicates()) == rows["patient_id"].nunique()


# --- published procedures ----------------------------------------------------------------------------------

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
    for shows in (0, 1):
        images = len(often[shows])
        assert images == made.loc[made["label_Infiltration"] == shows, "image_id"].nunique()
        assert often[shows].var() == pytest.approx(5_000 / images, rel=0.35), "drawn like rain, not dealt out"


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
