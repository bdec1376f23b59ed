import numpy as np
import pytest
from sklearn import metrics

from glassbox.evaluation import scores
from glassbox.evaluation.intervals import bootstrap
from glassbox.evaluation.predictions import Predictions


def score(make, predictions):
    return scores.score(predictions, bootstrap(predictions, make.evaluation()))


def test_scores_of_a_hand_made_test_set_are_those_of_the_textbook(make):
    # Three healthy patients, of whom one is called sick, and two sick ones, of whom one is called healthy.
    probability = np.array([0.1, 0.2, 0.8, 0.9, 0.3])
    predictions = make.binary([0, 0, 0, 1, 1], np.column_stack([1 - probability, probability]))
    measured = score(make, predictions)
    assert measured.roc_auc == round(5 / 6, 6)  # of six pairs one is the wrong way round
    assert (measured.accuracy, measured.majority_accuracy, measured.prevalence) == (0.6, 0.6, 0.4)
    assert measured.accuracy_minus_majority == 0
    assert measured.loss == pytest.approx(-np.log([0.9, 0.8, 0.2, 0.9, 0.3]).mean(), abs=1e-6)
    assert (measured.images, measured.patients) == (5, 5)
    assert measured.classes["No Finding"].model_dump() == {
        "precision": round(2 / 3, 6),
        "recall": round(2 / 3, 6),
        "f1": round(2 / 3, 6),
        "support": 3,
        "prevalence": 0.6,
        "roc_auc": round(5 / 6, 6),
    }
    assert measured.classes["Infiltration"].recall == 0.5
    assert measured.average_precision == round((1 + 2 / 3) / 2, 6)


def test_shuffled_predictions_are_worth_no_more_than_chance(make):
    # What a shuffling generator held against unshuffled labels gives: an AUC of 0.5 from a good model.
    good = make.predicted(images=2000, patients=1000, signal=4.0)
    assert score(make, good).roc_auc > 0.95
    shuffled = [
        score(
            make,
            make.binary(
                good.labels[:, 1], np.random.default_rng(seed).permutation(good.probabilities), good.patients
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


def test_scores_over_single_labels_are_those_of_the_textbook(make):
    # Of two healthy patients one is taken for one with a mass; nobody has a nodule.
    predictions = Predictions(
        task="single_label",
        classes=("No Finding", "Effusion", "Mass", "Nodule"),
        images=np.array(list("abcd")),
        patients=np.arange(4),
        labels=np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=bool),
        probabilities=np.array(
            [[0.7, 0.1, 0.1, 0.1], [0.3, 0.1, 0.5, 0.1], [0.2, 0.6, 0.1, 0.1], [0.4, 0.1, 0.5, 0.0]],
            dtype=np.float32,
        ),
    )
    measured = score(make, predictions)
    assert (measured.accuracy, measured.majority_accuracy, measured.accuracy_minus_majority) == (0.75, 0.5, 0.25)
    assert measured.loss == pytest.approx(-np.log([0.7, 0.3, 0.6, 0.5]).mean(), abs=1e-6)
    assert measured.prevalence == 0.5
    areas = {name: of_class.roc_auc for name, of_class in measured.classes.items()}
    # No Finding ranks 3 of 4 pairs; Effusion all 3; Mass 2 of 3 and one tie.
    assert areas == {"No Finding": 0.75, "Effusion": 1, "Mass": round(2.5 / 3, 6), "Nodule": None}
    assert measured.roc_auc == pytest.approx((0.75 + 1 + 2.5 / 3) / 3, abs=1e-6)
    nodule = measured.classes["Nodule"]
    assert (nodule.support, nodule.prevalence, nodule.recall, nodule.precision) == (0, 0, 0, 0)


def test_scores_over_many_labels_are_those_of_the_textbook(make):
    predictions = Predictions(
        task="multi_label",
        classes=("No Finding", "Effusion", "Mass"),
        images=np.array(list("abcd")),
        patients=np.arange(4),
        labels=np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype=bool),
        probabilities=np.array(
            [[0.9, 0.2, 0.0], [0.4, 0.3, 0.0], [0.2, 0.9, 0.0], [0.6, 0.4, 1.0]], dtype=np.float32
        ),
    )
    measured = score(make, predictions)
    # Of twelve answers four are wrong; saying what is true of most is right for half of the first two classes.
    assert measured.accuracy == pytest.approx(8 / 12, abs=1e-6)
    assert measured.majority_accuracy == pytest.approx((0.5 + 0.5 + 1) / 3, abs=1e-6)
    assert measured.accuracy_minus_majority == pytest.approx(0, abs=1e-6)
    # The one probability of 1 where there is no mass costs what Keras' clipping leaves of it, those of 0 nothing.
    right = [0.9, 0.8, 1, 0.4, 0.7, 1, 0.8, 0.9, 1, 0.4, 0.4, 1e-7]
    assert measured.loss == pytest.approx(-np.log(right).mean(), abs=1e-5)
    assert (measured.prevalence, measured.classes["Mass"].roc_auc) == (0.5, None)
    assert measured.roc_auc == pytest.approx((0.75 + 1) / 2, abs=1e-6)
    assert measured.classes["No Finding"].recall == 0.5


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_macro_scores_are_those_of_scikit_learn(make, task):
    predictions = make.of_task(task)
    measured = score(make, predictions)
    labels, probabilities = predictions.labels[:, :-1], predictions.probabilities[:, :-1]
    assert measured.roc_auc == pytest.approx(
        metrics.roc_auc_score(labels, probabilities, average="macro"), abs=1e-6
    )
    expected = metrics.average_precision_score(labels, probabilities, average="macro")
    assert measured.average_precision == pytest.approx(expected, abs=1e-6)
    assert measured.roc_auc_low < measured.roc_auc < measured.roc_auc_high
    assert measured.accuracy_low < measured.accuracy < measured.accuracy_high


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_a_network_that_says_what_most_images_have_gains_nothing_over_the_majority_classifier(make, task):
    told = make.of_task(task)
    most = told.labels.mean(axis=0) > 0.5 if task == "multi_label" else np.eye(len(make.many))[0]
    lazy = Predictions(
        task,
        told.classes,
        told.images,
        told.patients,
        told.labels,
        np.tile(most, (len(told.images), 1)).astype(np.float32),
    )
    measured = score(make, lazy)
    assert measured.accuracy_minus_majority == 0
    assert measured.roc_auc == 0.5
    assert measured.accuracy == measured.majority_accuracy > 0.2


def test_a_class_that_is_never_predicted_has_no_precision_and_warns_nobody(make, recwarn):
    predictions = make.predicted()
    probabilities = np.tile(np.float32([0.9, 0.1]), (300, 1))
    blind = make.binary(predictions.labels[:, 1], probabilities, predictions.patients)
    measured = score(make, blind)
    assert measured.classes["Infiltration"].precision == 0
    assert measured.accuracy == pytest.approx(1 - measured.prevalence, abs=1e-6)
    assert not recwarn.list


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_scores_have_at_most_six_decimals(make, task):
    numbers = score(make, make.of_task(task)).flat()
    assert all(value == round(value, 6) for value in numbers.values() if value is not None)
    # Only the class of no image has no area.
    assert [name for name, value in numbers.items() if value is None] == (
        [] if task == "binary" else ["classes_Hernia_roc_auc"]
    )


def test_flat_names_are_joined_by_underscores(make):
    numbers = score(make, make.predicted()).flat()
    assert {"roc_auc", "accuracy_low", "classes_No Finding_recall", "classes_Infiltration_support"} <= set(numbers)
