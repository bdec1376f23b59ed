import numpy as np
import pytest

from glassbox.artifacts import catalog
from glassbox.artifacts.catalog import Vocabulary
from glassbox.artifacts.split import labels as columns
from glassbox.cohorts import kermany, nih
from glassbox.params.splits import BinaryLabels, MultiLabels, SingleLabels
from glassbox.splits.labels import SplitError, classes, label, positive

FILMS = (
    "No Finding",
    "Infiltration",
    "Mass",
    "Infiltration|Mass",
    "Effusion",
    "Effusion|Infiltration",
)


def binary(**question):
    return BinaryLabels(task="binary", **question)


@pytest.fixture
def ask(make):
    """Labels the films above; {image number: (negative, positive)}."""

    def ask(positive, negative="No Finding", films=FILMS, cohort=nih):
        labels = binary(positive=positive, negative=negative)
        rows = label(make.table(*films), labels, cohort.VOCABULARY, "splits.x.labels")
        assert columns(rows) == [f"label_{name}" for name in classes(labels, cohort.VOCABULARY)]
        found = rows[columns(rows)]
        assert (found.dtypes == "uint8").all()
        numbers = rows["image_id"].str.removesuffix(".png").astype(int)
        return dict(zip(numbers, found.itertuples(index=False, name=None), strict=True))

    return ask


NEGATIVE, POSITIVE = (1, 0), (0, 1)


def test_the_classes_of_a_question_are_the_negative_and_then_the_positive_one():
    assert classes(binary(positive="Mass"), nih.VOCABULARY) == ("No Finding", "Mass")


def test_infiltration_against_no_finding_leaves_other_findings_out(ask):
    assert ask("Infiltration") == {0: NEGATIVE, 1: POSITIVE, 3: POSITIVE, 5: POSITIVE}


def test_an_image_with_both_findings_counts_as_positive(ask):
    assert ask("Infiltration", "Mass") == {1: POSITIVE, 2: NEGATIVE, 3: POSITIVE, 5: POSITIVE}


def test_the_rest_as_negative_is_every_image_without_the_positive_finding(ask):
    expected = {0: NEGATIVE, 1: POSITIVE, 2: NEGATIVE, 3: POSITIVE, 4: NEGATIVE, 5: POSITIVE}
    assert ask("Infiltration", "rest") == expected


def test_the_rest_as_positive_is_every_image_without_the_negative_label(ask):
    assert ask("rest") == {0: NEGATIVE, **dict.fromkeys(range(1, 6), POSITIVE)}
    assert ask("rest", "Mass")[3] == NEGATIVE


def test_a_finding_is_known_by_its_whole_name(ask):
    films = ("No Finding", "Pneumothorax", "Pneumonia")
    assert ask("Pneumonia", films=films) == {0: NEGATIVE, 2: POSITIVE}


def test_a_cohort_answers_in_its_own_words(ask):
    assert ask("Pneumonia", "Normal", ("Normal", "Pneumonia"), kermany) == {0: NEGATIVE, 1: POSITIVE}


def test_the_rows_themselves_stay_as_they_were(make):
    rows = make.table(*FILMS)
    label(rows, binary(positive="Mass"), nih.VOCABULARY, "splits.x.labels")
    assert rows.equals(make.table(*FILMS))


# --- every finding of the vocabulary -----------------------------------------------------------------------

WORDS = Vocabulary(("Mass", "Effusion", "Hernia"), "Normal")
LISTED = ("Normal", "Mass", "Effusion", "Hernia", "Hernia|Mass", "Effusion|Hernia|Mass", "Mass|Effusion")
FIRST = SingleLabels(task="single_label", several="first")
LEFT_OUT = SingleLabels(task="single_label", several="left_out")
MULTI = MultiLabels(task="multi_label")


@pytest.fixture
def answers(make):
    """Labels the films listed above; {image number: its classes}."""

    def answers(labels, listed=LISTED):
        rows = label(make.table(*listed), labels, WORDS, "splits.x.labels")
        assert columns(rows) == ["label_Normal", "label_Mass", "label_Effusion", "label_Hernia"]
        found = rows[columns(rows)]
        assert (found.dtypes == "uint8").all()
        assert set(np.unique(found)) == {0, 1}
        return {
            int(image.removesuffix(".png")): {name for name, one in zip("NMEH", of, strict=True) if one}
            for image, of in zip(rows["image_id"], found.to_numpy(), strict=True)
        }

    return answers


@pytest.mark.parametrize("labels", [FIRST, LEFT_OUT, MULTI], ids=lambda labels: labels.task)
def test_the_classes_of_a_cohort_are_the_absence_of_a_finding_and_then_its_findings_in_their_order(labels):
    names = classes(labels, nih.VOCABULARY)
    assert len(names) == 15
    assert names == ("No Finding", *nih.VOCABULARY.findings)


def test_an_image_of_several_findings_has_the_one_that_its_archive_lists_first(answers):
    assert answers(FIRST) == {0: {"N"}, 1: {"M"}, 2: {"E"}, 3: {"H"}, 4: {"H"}, 5: {"E"}, 6: {"M"}}


def test_or_it_is_left_out(answers):
    assert answers(LEFT_OUT) == {0: {"N"}, 1: {"M"}, 2: {"E"}, 3: {"H"}}


def test_with_many_labels_it_has_each_of_its_findings_and_their_absence_is_a_class_too(answers):
    assert answers(MULTI) == {
        0: {"N"},
        1: {"M"},
        2: {"E"},
        3: {"H"},
        4: {"H", "M"},
        5: {"E", "H", "M"},
        6: {"M", "E"},
    }


@pytest.mark.parametrize("labels", [FIRST, LEFT_OUT, MULTI, binary(positive="Mass", negative="Normal")])
def test_positive_is_every_image_that_is_not_of_the_first_class(make, labels):
    rows = label(make.table(*LISTED), labels, WORDS, "splits.x.labels")
    assert positive(rows).tolist() == [found != ["Normal"] for found in rows["findings"]]


def test_findings_are_read_from_a_catalog_as_it_comes_from_disk(make, project):
    rows = make.table(*LISTED)
    catalog.write("films", rows, WORDS)
    read, words = catalog.read("films")
    for labels in (FIRST, LEFT_OUT, MULTI):
        once, again = (label(*of, "splits.x.labels") for of in ((rows, labels, WORDS), (read, labels, words)))
        assert once[columns(once)].equals(again[columns(again)])


@pytest.mark.parametrize(
    ("labels", "listed", "lacking"),
    [
        (MULTI, ("Normal", "Mass|Hernia"), "'Effusion'"),
        (MULTI, ("Mass|Hernia", "Hernia"), "'Normal' or 'Effusion'"),
        # Each hernia has a mass before it.
        (FIRST, ("Normal", "Mass|Hernia", "Effusion"), "'Hernia'"),
        (LEFT_OUT, ("Normal", "Mass|Hernia", "Effusion"), "'Mass' or 'Hernia'"),
    ],
)
def test_every_class_without_an_image_is_named(answers, labels, listed, lacking):
    with pytest.raises(SplitError) as refusal:
        answers(labels, listed)
    assert refusal.value.found == f"splits.x.labels: no image of {len(listed)} is labelled {lacking}"


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "cohort", "unknown", "vocabulary"),
    [
        ({"positive": "Pleural Thickening"}, nih, "Pleural Thickening", "Pleural_Thickening, Pneumonia"),
        ({"positive": "Infiltration", "negative": "Normal"}, nih, "Normal", "No Finding, or rest"),
        ({"positive": "Mass", "negative": "Normal"}, kermany, "Mass", "one of Pneumonia, Normal, or rest"),
    ],
)
def test_a_label_that_the_cohort_does_not_know_is_refused(make, question, cohort, unknown, vocabulary):
    with pytest.raises(SplitError) as refusal:
        label(make.table(*FILMS), binary(**question), cohort.VOCABULARY, "splits.x.labels")
    assert refusal.value.found == f"splits.x.labels: unknown label {unknown!r}"
    assert vocabulary in refusal.value.expected
    assert refusal.value.action == "correct splits.x.labels"


@pytest.mark.parametrize(
    ("positive", "negative", "films", "empty"),
    [
        ("Hernia", "No Finding", FILMS, "Hernia"),
        ("Mass", "No Finding", ("Mass", "Effusion", "Mass|Effusion"), "No Finding"),
        ("Mass", "rest", ("Mass", "Mass|Effusion"), "rest"),
        ("rest", "No Finding", ("No Finding", "No Finding"), "rest"),
        # The only mass has an infiltration too, and counts as that.
        ("Infiltration", "Mass", ("Infiltration|Mass", "Effusion"), "Mass"),
    ],
)
def test_a_class_without_an_image_is_refused_with_the_number_of_images(make, positive, negative, films, empty):
    with pytest.raises(SplitError) as refusal:
        label(make.table(*films), binary(positive=positive, negative=negative), nih.VOCABULARY, "splits.x.labels")
    assert refusal.value.found == f"splits.x.labels: no image of {len(films)} is labelled {empty!r}"
    assert refusal.value.expected == "at least one image of each class"
    assert "ask another question" in refusal.value.action
