import finished
import numpy as np
import pytest

from glassbox.artifacts import model
from glassbox.evaluation import predictions
from glassbox.evaluation.predictions import EvaluationError
from glassbox.params.experiments import VARIANTS


@pytest.fixture
def read(project):
    """Writes the rows of a test fold and the probabilities of its images, and reads them as those of a task."""

    def read(task, rows, probabilities):
        finished.predict("compact", rows, dict.fromkeys(VARIANTS, probabilities))
        digest = model.read_lineage("compact").model_sha256
        return predictions.read("compact", "test_clean", task, digest)

    return read


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_predictions_are_read_as_they_were_written(make, read, task):
    written = make.of_task(task, patients=60)
    found = read(task, make.fold(written), written.probabilities)
    assert (found.task, found.classes, found.patient_count) == (task, written.classes, 60)
    for column in ("images", "patients", "labels", "probabilities"):
        np.testing.assert_array_equal(getattr(found, column), getattr(written, column))


def test_of_two_classes_the_positive_one_is_the_last_and_the_one_that_counts(make):
    asked = make.predicted()
    assert asked.classes[-1] == "Infiltration"
    assert asked.ranked == [1]


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_of_many_classes_those_count_that_some_images_have_and_others_have_not(make, task):
    asked = make.of_task(task)
    assert asked.ranked == list(range(len(make.many) - 1))  # Nobody has the last one.
    asked.labels[:, 3] = True
    assert 3 not in asked.ranked


def test_a_softmax_decides_for_the_most_probable_class_and_among_equals_for_the_first(make):
    asked = make.binary([0, 1, 1], [[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    assert asked.decisions.astype(int).tolist() == [[1, 0], [0, 1], [1, 0]]
    assert (asked.right.tolist(), asked.answers) == ([1, 1, 0], 1)


def test_sigmoids_decide_class_by_class_and_a_half_is_not_above_the_threshold():
    asked = predictions.Predictions(
        task="multi_label",
        classes=("No Finding", "Effusion", "Mass"),
        images=np.array(["a", "b"]),
        patients=np.array([0, 1]),
        labels=np.array([[0, 1, 1], [0, 0, 0]], dtype=bool),
        probabilities=np.array([[0.5, 0.51, 0.2], [0.9, 0.1, 0.1]], dtype=np.float32),
    )
    assert asked.decisions.astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert (asked.right.tolist(), asked.answers) == ([2, 2], 3)


def test_an_image_that_a_recipe_draws_twice_counts_twice(make, read):
    asked = make.predicted()
    twice = np.append(np.arange(300), 0)
    found = read("binary", make.fold(asked).iloc[twice], asked.probabilities[twice])
    assert (len(found.images), found.images[0]) == (301, found.images[-1])


def test_any_combination_of_labels_is_one_of_multi_label(make, read):
    asked = make.of_task("multi_label")
    asked.labels[:2] = [[False], [True]]  # Nothing at all, and everything at once.
    found = read("multi_label", make.fold(asked), asked.probabilities)
    assert found.labels[:2].sum(axis=1).tolist() == [0, len(make.many)]


@pytest.mark.parametrize("task", ["binary", "multi_label"])
@pytest.mark.parametrize("value", [np.nan, 1.5, -np.inf])
def test_what_is_no_probability_is_refused_with_its_place(make, read, task, value):
    asked = make.of_task(task)
    asked.probabilities[7, 1] = value
    with pytest.raises(EvaluationError, match=f"probability_Infiltration is {value} in row 7") as refusal:
        read(task, make.fold(asked), asked.probabilities)
    assert "test_clean.parquet" in refusal.value.found
    assert "dvc repro" in refusal.value.action


def test_a_softmax_that_is_rounded_to_just_above_one_is_a_probability(make, read):
    asked = make.predicted()
    asked.probabilities[7] = (-1e-7, np.nextafter(np.float32(1), np.float32(2)))
    assert read("binary", make.fold(asked), asked.probabilities).probabilities[7, 1] > 1


def nobody(labels):
    labels[:] = [True] + [False] * (labels.shape[1] - 1)


def everybody(labels):
    labels[:] = [False] * (labels.shape[1] - 1) + [True]


def all_at_once(labels):
    labels[7] = True


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("binary", all_at_once, "more or less than one an image"),
        ("single_label", all_at_once, "more or less than one an image"),
        ("binary", nobody, "all 300 images are No Finding"),
        ("binary", everybody, "all 300 images are Infiltration"),
        ("single_label", nobody, "all 600 images are No Finding"),
        ("multi_label", everybody, "all 600 images are Hernia"),
    ],
)
def test_a_test_fold_without_an_answer_to_its_question_is_refused(make, read, task, change, message):
    asked = make.of_task(task)
    change(asked.labels)
    with pytest.raises(EvaluationError, match=message) as refusal:
        read(task, make.fold(asked), asked.probabilities)
    assert "dvc repro" in refusal.value.action


def test_many_classes_are_not_read_as_two(make, read):
    asked = make.of_task("single_label")
    with pytest.raises(EvaluationError, match="has 7 classes"):
        read("binary", make.fold(asked), asked.probabilities)
