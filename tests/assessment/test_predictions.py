import numpy as np
import pytest

from glassbox.assessment import predictions
from glassbox.errors import ReportError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test_clean.parquet"


def test_predictions_are_read_as_they_were_written(make, path):
    written = make.predicted()
    make.write(path, make.columns(written))
    read = predictions.read(path)
    assert read.classes == written.classes
    assert read.patient_count == 60
    for column in ("images", "patients", "truth", "probabilities"):
        np.testing.assert_array_equal(getattr(read, column), getattr(written, column))


def test_the_positive_class_is_the_last(make):
    read = make.predicted()
    assert read.classes[-1] == "Infiltration"
    np.testing.assert_array_equal(read.positive, read.truth == 1)
    np.testing.assert_array_equal(read.score, read.probabilities[:, 1])


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
        (lambda c: spoil(c, "label_Infiltration", 2), "not one-hot"),
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
        predictions.read(path)
    assert str(path) in refusal.value.found
    assert "dvc repro" in refusal.value.action


def test_missing_predictions_are_refused(path):
    with pytest.raises(ReportError, match="is not there"):
        predictions.read(path)


@pytest.mark.parametrize("kept", [0, 3, 500, -1])
def test_damaged_predictions_are_refused(make, path, kept):
    make.write(path, make.columns(make.predicted()))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ReportError, match="no whole Parquet file"):
        predictions.read(path)
