import pytest

from glassbox.cohorts import kermany, nih
from glassbox.errors import SplitError
from glassbox.params import Labels
from glassbox.selection.labels import classes, label

FILMS = (
    "No Finding",
    "Infiltration",
    "Mass",
    "Infiltration|Mass",
    "Effusion",
    "Effusion|Infiltration",
)


@pytest.fixture
def ask(make):
    """Labels the films above; {image number: (negative, positive)}."""

    def ask(positive, negative="No Finding", films=FILMS, cohort=nih):
        labels = Labels(positive=positive, negative=negative)
        rows = label(make.table(*films), labels, cohort.VOCABULARY, "splits.x.labels")
        found = rows[[f"label_{name}" for name in classes(labels)]]
        assert (found.dtypes == "uint8").all()
        numbers = rows["image_id"].str.removesuffix(".png").astype(int)
        return dict(zip(numbers, found.itertuples(index=False, name=None), strict=True))

    return ask


NEGATIVE, POSITIVE = (1, 0), (0, 1)


def test_the_classes_of_a_question_are_the_negative_and_then_the_positive_one():
    assert classes(Labels(positive="Mass")) == ("No Finding", "Mass")


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
    label(rows, Labels(positive="Mass"), nih.VOCABULARY, "splits.x.labels")
    assert rows.equals(make.table(*FILMS))


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
        label(make.table(*FILMS), Labels(**question), cohort.VOCABULARY, "splits.x.labels")
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
        label(make.table(*films), Labels(positive=positive, negative=negative), nih.VOCABULARY, "splits.x.labels")
    assert refusal.value.found == f"splits.x.labels: no image of {len(films)} is labelled {empty!r}"
    assert refusal.value.expected == "at least one image of each class"
    assert "ask another question" in refusal.value.action
