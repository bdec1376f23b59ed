import numpy as np
import pytest

from glassbox.assessment import predictions
from glassbox.errors import ReportError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test_clean.parquet"


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_predictions_are_read_as_they_were_written(make, path, task):
    written = make.of_task(task, patients=60)
    make.write(path, make.columns(written))
    read = predictions.read(path, task)
    assert (read.task, read.classes) == (task, written.classes)
    assert read.patient_count == 60
    for column in ("images", "patients", "labels", "probabilities"):
        np.testing.assert_array_equal(getattr(read, column), getattr(written, column))


def test_of_two_classes_the_positive_one_is_the_last_and_the_one_that_counts(make):
    read = make.predicted()
    assert read.classes[-1] == "Infiltration"
    assert read.ranked == [1]


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_of_many_classes_those_count_that_some_images_have_and_others_have_not(make, task):
    read = make.of_task(task)
    assert read.ranked == list(range(14))  # Nobody has the last one.
    read.labels[:, 3] = True
    assert 3 not in read.ranked


def test_a_softmax_decides_for_the_most_probable_class_and_among_equals_for_the_first(make):
    read = make.binary([0, 1, 1], [[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    assert read.decisions.astype(int).tolist() == [[1, 0], [0, 1], [1, 0]]
    assert (read.right.tolist(), read.answers) == ([1, 1, 0], 1)


def test_sigmoids_decide_class_by_class_and_a_half_is_not_above_the_threshold():
    read = predictions.Predictions(
        task="multi_label",
        classes=("No Finding", "Effusion", "Mass"),
        images=np.array(["a", "b"]),
        patients=np.array([0, 1]),
        labels=np.array([[0, 1, 1], [0, 0, 0]], dtype=bool),
        probabilities=np.array([[0.5, 0.51, 0.2], [0.9, 0.1, 0.1]], dtype=np.float32),
    )
    assert read.decisions.astype(int).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert (read.right.tolist(), read.answers) == ([2, 2], 3)


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_an_image_that_a_recipe_draws_twice_counts_twice(make, path, task):
    columns = make.columns(make.of_task(task))
    make.write(path, {name: np.concatenate([column, column[:1]]) for name, column in columns.items()})
    read = predictions.read(path, task)
    assert (len(read.images), read.images[0]) == (601, read.images[-1])


def spoil(columns, name, value, row=7):
    """The columns, with one value of one of them replaced."""
    columns[name][row] = value
    return columns


def without(columns, name):
    return {key: column for key, column in columns.items() if key != name}


def one_class(columns):
    columns["label_No Finding"][:], columns["label_Infiltration"][:] = 0, 1
    return columns


def swapped(columns):
    columns["probability_No Finding"] = columns.pop("probability_No Finding")
    return columns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: without(c, "image_id"), "image_id: 0 columns"),
        (lambda c: without(c, "patient_id"), "patient_id: 0 columns"),
        (lambda c: without(c, "label_Infiltration"), "has labels of No Finding and probabilities of"),
        (lambda c: without(c, "probability_Infiltration"), "probabilities of No Finding"),
        (lambda c: {"image_id": c["image_id"]}, "has labels of no class"),
        (swapped, "probabilities of Infiltration, No Finding"),
        (lambda c: spoil(c, "label_Infiltration", 2), "other values"),
        (lambda c: spoil(spoil(c, "label_Infiltration", 1), "label_No Finding", 1), "not one-hot"),
        (lambda c: spoil(c, "probability_Infiltration", np.nan), "probability_Infiltration is nan in row 7"),
        (lambda c: spoil(c, "probability_No Finding", 1.5), "probability_No Finding is 1.5 in row 7"),
        (lambda c: spoil(c, "probability_No Finding", -np.inf), "is -inf in row 7"),
        (one_class, "300 of 300 images are Infiltration"),
        (lambda c: {name: column[:0] for name, column in c.items()}, "has no rows"),
        (lambda c: c | {"patient_id": np.arange(300)}, "patient_id is int64"),
        (lambda c: c | {"patient_id": [None, *c["patient_id"][1:].tolist()]}, "patient_id: 1 nulls"),
        (lambda c: c | {"probability_No Finding": c["image_id"]}, "probability_No Finding is"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(make, path, change, message):
    make.write(path, change(make.columns(make.predicted())))
    with pytest.raises(ReportError, match=message) as refusal:
        predictions.read(path, "binary")
    assert str(path) in refusal.value.found
    assert "dvc repro" in refusal.value.action


def test_missing_predictions_are_refused(path):
    with pytest.raises(ReportError, match="is not there"):
        predictions.read(path, "binary")


@pytest.mark.parametrize("kept", [0, 3, 500, -1])
def test_damaged_predictions_are_refused(make, path, kept):
    make.write(path, make.columns(make.predicted()))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ReportError, match="no whole Parquet file"):
        predictions.read(path, "binary")


def everybody_has_all(columns):
    return {name: np.ones_like(c) if name.startswith("label_") else c for name, c in columns.items()}


def everybody_is_healthy(columns):
    labels = {name: np.zeros_like(c) for name, c in columns.items() if name.startswith("label_")}
    return columns | labels | {"label_No Finding": np.ones_like(labels["label_No Finding"])}


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("single_label", lambda c: spoil(c, "label_Mass", 2), "other values"),
        ("single_label", lambda c: spoil(spoil(c, "label_Mass", 1), "label_Nodule", 1), "not one-hot"),
        ("single_label", everybody_is_healthy, "all 600 images or of none"),
        ("multi_label", lambda c: spoil(c, "label_Mass", 2), "other values"),
        ("multi_label", everybody_has_all, "all 600 images or of none"),
        ("multi_label", lambda c: spoil(c, "probability_Mass", np.nan), "probability_Mass is nan in row 7"),
    ],
)
def test_predictions_over_many_classes_that_cannot_be_scored_are_refused(make, path, task, change, message):
    make.write(path, change(make.columns(make.of_task(task))))
    with pytest.raises(ReportError, match=message):
        predictions.read(path, task)


def test_many_classes_are_not_read_as_two(make, path):
    make.write(path, make.columns(make.of_task("single_label")))
    with pytest.raises(ReportError, match="has 15 classes"):
        predictions.read(path, "binary")


def test_any_combination_of_labels_is_one_of_multi_label(make, path):
    columns = make.columns(make.of_task("multi_label"))
    for name in columns:
        if name.startswith("label_"):
            columns[name][:2] = (0, 1)  # Nothing at all, and everything at once.
    make.write(path, columns)
    assert predictions.read(path, "multi_label").labels[:2].sum(axis=1).tolist() == [0, 15]
