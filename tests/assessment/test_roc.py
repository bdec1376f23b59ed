import numpy as np
import pytest
from sklearn import metrics

from glassbox.assessment import roc, scores
from glassbox.assessment.intervals import bootstrap


def test_the_one_curve_of_two_classes_is_that_of_the_positive_one_with_all_its_corners(make):
    predictions = make.predicted(images=3000, patients=600, digits=6)
    (name,) = roc.curves(predictions)
    assert name == "Infiltration"
    false_positive, _, _ = metrics.roc_curve(predictions.labels[:, 1], predictions.probabilities[:, 1])
    rows = list(roc.rows({"test_clean": predictions}))
    assert len(rows) == len(false_positive) > roc.CORNERS
    assert rows[0] == ("test_clean", "0.000000", "0.000000", "inf")
    assert len(roc.header("binary")) == len(rows[0])


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_each_class_that_counts_has_a_curve_of_few_corners_with_the_same_area(make, task):
    predictions = make.of_task(task, images=4000, patients=800)
    curves = roc.curves(predictions)
    assert tuple(curves) == predictions.classes[:14]
    for name, curve in curves.items():
        position = predictions.classes.index(name)
        area = metrics.roc_auc_score(predictions.labels[:, position], predictions.probabilities[:, position])
        thin = curve.thinned()
        assert len(thin.thresholds) <= roc.CORNERS
        assert (thin.false_positive[0], thin.true_positive[0]) == (0, 0)
        assert (thin.false_positive[-1], thin.true_positive[-1]) == (1, 1)
        assert np.trapezoid(thin.true_positive, thin.false_positive) == pytest.approx(area, abs=2e-3)


def test_rows_of_many_classes_name_the_class(make):
    predictions = make.of_task("multi_label")
    assert roc.header("multi_label")[:2] == ("variant", "class")
    rows = list(roc.rows({"test_clean": predictions, "test_augmented": predictions}))
    assert all(len(row) == len(roc.header("multi_label")) for row in rows)
    assert {row[:2] for row in rows} == {
        (variant, name) for variant in ("test_clean", "test_augmented") for name in predictions.classes[:14]
    }
    assert len(rows) <= 2 * 14 * roc.CORNERS


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_figures_change_with_what_was_predicted(make, tmp_path, task):
    drawn = []
    for seed in (0, 1):
        predictions = make.of_task(task, seed=seed)
        variants = {"test_clean": predictions, "test_augmented": predictions}
        measured = dict.fromkeys(variants, scores.score(predictions, bootstrap(predictions, make.evaluation())))
        roc.draw(tmp_path / "roc.png", variants, measured, 0.95)
        drawn.append((tmp_path / "roc.png").read_bytes())
    assert drawn[0] != drawn[1]
