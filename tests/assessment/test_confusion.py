import numpy as np
import pytest
from sklearn import metrics

from glassbox.assessment import confusion, scores
from glassbox.assessment.intervals import bootstrap


@pytest.mark.parametrize("task", ["binary", "single_label"])
def test_the_confusion_matrix_is_that_of_scikit_learn(make, task):
    predictions = make.of_task(task)
    truth, decisions = predictions.labels.argmax(axis=1), predictions.decisions.argmax(axis=1)
    expected = metrics.confusion_matrix(truth, decisions, labels=range(len(predictions.classes)))
    np.testing.assert_array_equal(confusion.matrix(predictions), expected)


def test_rows_name_truth_and_prediction_in_the_order_of_the_classes(make):
    predictions = make.binary([0, 0, 0, 1, 1], [[0.9, 0.1]] * 2 + [[0.2, 0.8]] * 2 + [[0.7, 0.3]])
    assert list(confusion.rows(predictions)) == [
        ("No Finding", "No Finding", 2),
        ("No Finding", "Infiltration", 1),
        ("Infiltration", "No Finding", 1),
        ("Infiltration", "Infiltration", 1),
    ]


def test_many_single_labels_have_a_row_for_every_pair_of_classes(make):
    predictions = make.of_task("single_label")
    rows = list(confusion.rows(predictions))
    assert len(rows) == 15 * 15
    assert sum(images for *_, images in rows) == 600
    right = sum(images for truth, prediction, images in rows if truth == prediction)
    assert right == predictions.right.sum()


def test_many_labels_have_a_table_of_their_own_for_each_class(make):
    predictions = make.of_task("multi_label")
    measured = scores.score(predictions, bootstrap(predictions, make.evaluation()))
    rows = {(truth, prediction): images for truth, prediction, images in confusion.rows(predictions)}
    assert len(rows) == 15 * 4
    for name, of_class in measured.classes.items():
        found, missed = rows[name, name], rows[name, f"not {name}"]
        false = rows[f"not {name}", name]
        assert found + missed == of_class.support
        assert found + missed + false + rows[f"not {name}", f"not {name}"] == 600
        assert of_class.recall == pytest.approx(found / max(found + missed, 1), abs=1e-6)
        assert of_class.precision == pytest.approx(found / max(found + false, 1), abs=1e-6)


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_figures_change_with_what_was_predicted(make, tmp_path, task):
    drawn = []
    for seed in (0, 1):
        predictions = make.of_task(task, seed=seed)
        variants = {"test_clean": predictions, "test_augmented": predictions}
        measured = dict.fromkeys(variants, scores.score(predictions, bootstrap(predictions, make.evaluation())))
        confusion.draw(tmp_path / "confusion.png", variants, measured)
        drawn.append((tmp_path / "confusion.png").read_bytes())
    assert drawn[0] != drawn[1]
