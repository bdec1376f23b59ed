import numpy as np
import pytest
from sklearn import metrics

from glassbox.evaluation import confusion, scores
from glassbox.evaluation.intervals import bootstrap


def cells(predictions):
    """Truth, prediction and images of every row of the table."""
    rows = confusion.rows({"test_clean": predictions})
    return [(row["truth"], row["prediction"], row["images"]) for row in rows]


@pytest.mark.parametrize("task", ["binary", "single_label"])
def test_the_confusion_matrix_is_that_of_scikit_learn(make, task):
    predictions = make.of_task(task)
    truth, decisions = predictions.labels.argmax(axis=1), predictions.decisions.argmax(axis=1)
    expected = metrics.confusion_matrix(truth, decisions, labels=range(len(predictions.classes)))
    np.testing.assert_array_equal(confusion.matrix(predictions), expected)


def test_rows_name_truth_and_prediction_in_the_order_of_the_classes(make):
    predictions = make.binary([0, 0, 0, 1, 1], [[0.9, 0.1]] * 2 + [[0.2, 0.8]] * 2 + [[0.7, 0.3]])
    assert cells(predictions) == [
        ("No Finding", "No Finding", 2),
        ("No Finding", "Infiltration", 1),
        ("Infiltration", "No Finding", 1),
        ("Infiltration", "Infiltration", 1),
    ]


def test_many_single_labels_have_a_row_for_every_pair_of_classes(make):
    predictions = make.of_task("single_label")
    rows = cells(predictions)
    assert len(rows) == len(make.many) ** 2
    assert sum(images for *_, images in rows) == 600
    right = sum(images for truth, prediction, images in rows if truth == prediction)
    assert right == predictions.right.sum()


def test_many_labels_have_a_table_of_their_own_for_each_class(make):
    predictions = make.of_task("multi_label")
    measured = scores.score(predictions, bootstrap(predictions, make.evaluation()))
    rows = {(truth, prediction): images for truth, prediction, images in cells(predictions)}
    assert len(rows) == 4 * len(make.many)
    for name, of_class in measured.classes.items():
        found, missed = rows[name, name], rows[name, f"not {name}"]
        false = rows[f"not {name}", name]
        assert found + missed == of_class.support
        assert found + missed + false + rows[f"not {name}", f"not {name}"] == 600
        assert of_class.recall == pytest.approx(found / max(found + missed, 1), abs=1e-6)
        assert of_class.precision == pytest.approx(found / max(found + false, 1), abs=1e-6)


def texts(axes):
    """(row, column) -> what stands there."""
    return {text.get_position()[::-1]: text.get_text() for text in axes.texts}


def test_the_figure_of_two_classes_shows_images_and_their_share_of_the_true_class(make, figures, tmp_path):
    variants, measured = make.variants_of("binary")
    confusion.plot(tmp_path / "confusion.png", variants, measured)
    for axes, predictions in zip(figures[0].axes, variants.values(), strict=True):
        images = confusion.matrix(predictions)
        shares = images / images.sum(axis=1, keepdims=True)
        assert texts(axes) == {place: f"{n:,}\n{shares[place]:.1%}" for place, n in np.ndenumerate(images)}


def test_the_figure_of_many_classes_shows_percents_of_the_true_class(make, figures, tmp_path):
    variants, measured = make.variants_of("single_label")
    confusion.plot(tmp_path / "confusion.png", variants, measured)
    for axes, predictions in zip(figures[0].axes, variants.values(), strict=True):
        images = confusion.matrix(predictions)
        percents = 100 * (images / images.sum(axis=1, keepdims=True).clip(1))
        assert texts(axes) == {place: f"{percents[place]:.0f}" for place, n in np.ndenumerate(images) if n}
    named = [label.get_text().partition(" (")[0] for label in figures[0].axes[0].get_yticklabels()]
    assert named == list(make.many)


def test_the_figure_of_independent_classes_shows_recall_precision_and_prevalence(make, figures, tmp_path):
    variants, measured = make.variants_of("multi_label")
    confusion.plot(tmp_path / "confusion.png", variants, measured)
    for axes, of_variant in zip(figures[0].axes, measured.values(), strict=True):
        for bars, name in zip(axes.containers, ("recall", "precision"), strict=True):
            assert [bar.get_width() for bar in bars] == [getattr(of, name) for of in of_variant.classes.values()]
        (marks,) = axes.collections
        prevalences = [segment[0, 0] for segment in marks.get_segments()]
        assert prevalences == [of.prevalence for of in of_variant.classes.values()]
