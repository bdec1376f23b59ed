import numpy as np
import pytest
from sklearn import metrics

from glassbox.evaluation import roc


def test_the_one_curve_of_two_classes_is_that_of_the_positive_one_with_all_its_corners(make):
    predictions = make.predicted(images=3000, patients=600, digits=6)
    (name,) = roc.curves(predictions)
    assert name == "Infiltration"
    false_positive, _, _ = metrics.roc_curve(predictions.labels[:, 1], predictions.probabilities[:, 1])
    rows = list(roc.rows({"test_clean": predictions}))
    assert len(rows) == len(false_positive) > roc.CORNERS
    assert list(rows[0].values()) == ["test_clean", 0, 0, np.inf]


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_each_class_that_counts_has_a_curve_of_few_corners_with_the_same_area(make, task):
    predictions = make.of_task(task, images=4000, patients=800)
    curves = roc.curves(predictions)
    assert tuple(curves) == predictions.classes[:-1]
    for name, curve in curves.items():
        position = predictions.classes.index(name)
        area = metrics.roc_auc_score(predictions.labels[:, position], predictions.probabilities[:, position])
        false_positive, true_positive, thresholds = roc.thinned(curve)
        assert len(thresholds) <= roc.CORNERS
        assert (false_positive[0], true_positive[0]) == (0, 0)
        assert (false_positive[-1], true_positive[-1]) == (1, 1)
        assert np.trapezoid(true_positive, false_positive) == pytest.approx(area, abs=2e-3)


def test_rows_of_many_classes_name_the_class(make):
    predictions = make.of_task("multi_label")
    rows = list(roc.rows({"test_clean": predictions, "test_augmented": predictions}))
    assert {(row["variant"], row["class"]) for row in rows} == {
        (variant, name) for variant in ("test_clean", "test_augmented") for name in predictions.classes[:-1]
    }
    assert len(rows) <= 2 * len(make.many) * roc.CORNERS


def test_the_figure_of_two_classes_shows_the_curve_and_the_area_of_each_variant(make, figures, tmp_path):
    variants, measured = make.variants_of("binary")
    roc.plot(tmp_path / "roc.png", variants, measured, 0.95)
    (axes,) = figures[0].axes
    _, *lines = axes.lines  # The first is the diagonal.
    for line, predictions in zip(lines, variants.values(), strict=True):
        (curve,) = roc.curves(predictions).values()
        np.testing.assert_array_equal(line.get_xydata().T, curve[:2])
    said = [text.get_text() for text in figures[0].legends[0].get_texts()]
    for text, scores in zip(said, measured.values(), strict=True):
        assert f"AUC {scores.roc_auc:.3f} ({scores.roc_auc_low:.3f}" in text


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_the_figure_of_many_classes_has_a_panel_a_class_with_its_areas(make, figures, tmp_path, task):
    variants, measured = make.variants_of(task)
    roc.plot(tmp_path / "roc.png", variants, measured, 0.95)
    panels = figures[0].axes
    assert [axes.get_title("left").partition(",")[0] for axes in panels if axes.axison] == list(make.many)
    for axes, name in zip(panels, make.many[:-1], strict=False):
        areas = [f"{scores.classes[name].roc_auc:.3f}" for scores in measured.values()]
        assert [text.get_text() for text in axes.texts] == areas
        assert len(axes.lines) == 3
    # Of the class that no image is of there is nothing to draw, which is said.
    assert (len(panels[6].lines), len(panels[6].texts)) == (0, 1)
