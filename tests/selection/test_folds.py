import pandas as pd
import pytest

from glassbox.artifacts.split import FOLDS
from glassbox.cohorts import nih
from glassbox.selection.errors import SplitError
from glassbox.selection.folds import assign
from glassbox.selection.labels import label, positive

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
