import json

import numpy as np
import pytest
from sklearn import metrics

from glassbox import layout
from glassbox.assessment import scores
from glassbox.assessment.intervals import bootstrap
from glassbox.assessment.predictions import Predictions
from glassbox.errors import ReportError


def score(make, predictions):
    return scores.score(predictions, bootstrap(predictions, make.evaluation()))


def test_scores_of_a_hand_made_test_set_are_those_of_the_textbook(make):
    # Three healthy patients, of whom one is called sick, and two sick ones, of whom one is called healthy.
    probability = np.array([0.1, 0.2, 0.8, 0.9, 0.3])
    predictions = Predictions(
        classes=("No Finding", "Infiltration"),
        images=np.array(list("abcde")),
        patients=np.arange(5),
        truth=np.array([0, 0, 0, 1, 1]),
        probabilities=np.column_stack([1 - probability, probability]).astype(np.float32),
    )
    measured = score(make, predictions)
    assert measured.roc_auc == round(5 / 6, 6)  # of six pairs one is the wrong way round
    assert (measured.accuracy, measured.majority_accuracy, measured.prevalence) == (0.6, 0.6, 0.4)
    assert (measured.images, measured.patients) == (5, 5)
    assert measured.classes["No Finding"].model_dump() == {
        "precision": round(2 / 3, 6),
        "recall": round(2 / 3, 6),
        "f1": round(2 / 3, 6),
        "support": 3,
    }
    assert measured.classes["Infiltration"].recall == 0.5
    assert measured.average_precision == round((1 + 2 / 3) / 2, 6)
    assert scores.confusion(predictions).tolist() == [[2, 1], [1, 1]]


def test_shuffled_predictions_are_worth_no_more_than_chance(make):
    # What a shuffling generator held against unshuffled labels gives: an AUC of 0.5 from a good model.
    good = make.predicted(images=2000, patients=1000, signal=4.0)
    assert score(make, good).roc_auc > 0.95
    shuffled = [
        score(
            make,
            Predictions(
                good.classes,
                good.images,
                good.patients,
                good.truth,
                np.random.default_rng(seed).permutation(good.probabilities),
            ),
        )
        for seed in range(40)
    ]
    assert np.mean([each.roc_auc for each in shuffled]) == pytest.approx(0.5, abs=0.01)
    # 38 of 40 are expected to hold 0.5; fewer than 33 would come once in a thousand.
    assert sum(each.roc_auc_low < 0.5 < each.roc_auc_high for each in shuffled) >= 33


def test_the_interval_holds_the_score(make):
    measured = score(make, make.predicted())
    assert measured.roc_auc_low < measured.roc_auc < measured.roc_auc_high
    assert measured.accuracy_low < measured.accuracy < measured.accuracy_high


def test_the_confusion_matrix_is_that_of_scikit_learn(make):
    predictions = make.predicted()
    expected = metrics.confusion_matrix(predictions.truth, predictions.decision)
    np.testing.assert_array_equal(scores.confusion(predictions), expected)


def test_a_class_that_is_never_predicted_has_no_precision_and_warns_nobody(make, recwarn):
    predictions = make.predicted()
    probabilities = np.tile(np.float32([0.9, 0.1]), (300, 1))
    blind = Predictions(
        predictions.classes, predictions.images, predictions.patients, predictions.truth, probabilities
    )
    measured = score(make, blind)
    assert measured.classes["Infiltration"].precision == 0
    assert measured.accuracy == pytest.approx(1 - measured.prevalence, abs=1e-6)
    assert not recwarn.list


def test_scores_have_at_most_six_decimals(make):
    numbers = scores.flat(score(make, make.predicted()))
    assert all(value == round(value, 6) for value in numbers.values())


def test_flat_names_are_joined_by_underscores(make):
    numbers = scores.flat(score(make, make.predicted()))
    assert {"roc_auc", "accuracy_low", "classes_No Finding_recall", "classes_Infiltration_support"} <= set(numbers)


def test_scores_are_read_as_they_were_written(make, tmp_path):
    measured = {variant: score(make, make.predicted()) for variant in layout.VARIANTS}
    scores.write(tmp_path / "scores.json", measured)
    assert scores.read(tmp_path / "scores.json") == measured


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: "", "is no JSON"),
        (lambda text: text[: len(text) // 2], "is no JSON"),
        (lambda _: "[]", "valid dictionary"),
        (lambda text: text.replace('"test_augmented"', '"test_other"'), "test_clean, test_other"),
        (lambda text: text.replace('"roc_auc_low"', '"roc_auc_lower"'), "test_clean.roc_auc_low"),
        (lambda text: text.replace('"prevalence": 0', '"prevalence": 7'), "test_clean.prevalence"),
        (lambda text: text.replace('"prevalence": 0', '"prevalence": NaN, "_": 0'), "test_clean.prevalence"),
    ],
)
def test_broken_scores_are_refused(make, tmp_path, damage, message):
    path = tmp_path / "scores.json"
    scores.write(path, {variant: score(make, make.predicted()) for variant in layout.VARIANTS})
    json.loads(path.read_text())
    path.write_text(damage(path.read_text()))
    with pytest.raises(ReportError, match=message):
        scores.read(path)
