import numpy as np
import pytest
from sklearn import metrics

from glassbox.assessment import roc


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
    assert tuple(curves) == predictions.classes[:-1]
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
        (variant, name) for variant in ("test_clean", "test_augmented") for name in predictions.classes[:-1]
    }
    assert len(rows) <= 2 * len(make.many) * roc.CORNERS


def test_the_figure_of_two_classes_shows_the_curve_and_the_area_of_each_variant(make, figures, tmp_path):
    variants, measured = make.variants_of("binary")
    roc.draw(tmp_path / "roc.png", variants, measured, 0.95)
    (axes,) = figures[0].axes
    _, *lines = axes.lines  # The first is the diagonal.
    for line, predictions, scores in zip(lines, variants.values(), measured.values(), strict=True):
        (curve,) = roc.curves(predictions).values()
        np.testing.assert_array_equal(line.get_xydata().T, [curve.false_positive, curve.true_positive])
        assert f"{scores.roc_auc:.3f} ({scores.roc_auc_low:.3f}" in line.get_label()


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_the_figure_of_many_classes_has_a_panel_a_class_with_its_areas(make, figures, tmp_path, task):
    variants, measured = make.variants_of(task)
    roc.draw(tmp_path / "roc.png", variants, measured, 0.95)
    panels = figures[0].axes
    assert [axes.get_title("left").partition(",")[0] for axes in panels if axes.axison] == list(make.many)
    for axes, name in zip(panels, make.many[:-1], strict=False):
        areas = [f"{scores.classes[name].roc_auc:.3f}" for scores in measured.values()]
        assert [text.get_text() for text in axes.texts] == areas
        assert len(axes.lines) == 3
    # Of the class that no image is of there is nothing to draw, which is said.
    assert (len(panels[6].lines), len(panels[6].texts)) == (0, 1)
