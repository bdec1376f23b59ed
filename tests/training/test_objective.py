import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from glassbox.training import objective
from glassbox.training.batches import Fold
from glassbox.training.strategies import infer


def labelled(task, count, seed):
    """Labels of films with none, a bright, a dark or a striped square: one each, or several; float32 (N, 4)."""
    generator = np.random.default_rng(seed)
    if task == "single_label":
        return np.eye(4, dtype=np.float32)[generator.permutation(count) % 4]
    labels = np.zeros((count, 4), np.float32)
    labels[:, 1:] = generator.random((count, 3)) < 0.4
    labels[:, 0] = ~labels[:, 1:].any(axis=1)
    return labels


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_an_easy_task_of_several_classes_is_learnt(make, task, tmp_path):
    folds = []
    for name, count, seed in (("train", 256, 1), ("validation", 96, 2)):
        labels = labelled(task, count, seed)
        folds.append(make.fold(tmp_path / name, make.marked(labels, seed), labels))
    data = make.training_data(*folds, task=task)
    keras.utils.set_random_seed(2)
    model = make.build(task=task, classes=4, mean=90.0, deviation=50.0, normalise="standardise")
    loss = "binary_crossentropy" if task == "multi_label" else "categorical_crossentropy"
    cosine = {"learning_rate": 0.006, "schedule": "cosine"}
    rows = make.run(model, data, tmp_path / "phase.npz", epochs=4, loss=loss, optimizer=cosine)
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert rows[-1]["val_roc_auc"] > 0.95
    assert rows[-1]["val_accuracy"] > 0.85
    if task == "multi_label":
        assert infer(model, data.validation).sum(axis=1).max() > 1.5, "a film with two squares has both"


# --- figures of given probabilities ------------------------------------------------------------------------


class Oracle:
    """A network with given answers."""

    def __init__(self, probabilities):
        self.probabilities = np.asarray(probabilities, np.float32)

    def predict_on_batch(self, _):
        return self.probabilities


@pytest.fixture
def figures(make, easy):
    """The validation figures of some labels and probabilities."""

    def figures(task, labels, probabilities, loss="categorical_crossentropy"):
        labels = np.asarray(labels, np.float32)
        fold = Fold(easy[1].images, np.arange(len(labels)), labels, np.ones(len(labels), np.int32))
        return objective.validate(Oracle(probabilities), make.training_data(easy[0], fold, task=task), loss)

    return figures


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_validation_figures_are_those_of_scikit_learn(figures, task):
    labels, found = labelled(task, 48, 3), np.random.default_rng(4).uniform(0.01, 1.0, (48, 4))
    if task == "multi_label":
        rows = figures(task, labels, found, "binary_crossentropy")
        loss = np.mean([log_loss(labels[:, column], found[:, column]) for column in range(4)])
        accuracy = accuracy_score(labels.ravel(), found.ravel() > 0.5)
    else:
        found /= found.sum(axis=1, keepdims=True)
        rows = figures(task, labels, found)
        loss = log_loss(labels, found)
        accuracy = accuracy_score(labels.argmax(axis=1), found.argmax(axis=1))
    assert rows["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert rows["val_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert rows["val_roc_auc"] == pytest.approx(roc_auc_score(labels, found, average="macro"), abs=1e-6)


def test_the_area_of_a_binary_question_is_that_of_its_positive_class(figures):
    found = figures("binary", [[1, 0], [0, 1], [0, 1], [1, 0]], [[0.8, 0.2], [0.3, 0.7], [0.9, 0.1], [0.95, 0.05]])
    assert found["val_roc_auc"] == pytest.approx(0.75)
    assert found["val_accuracy"] == pytest.approx(0.75)


def test_a_class_that_is_everywhere_or_nowhere_has_no_area_and_is_left_out_of_the_mean(figures):
    labels = [[1, 0, 0, 1], [0, 1, 0, 1], [0, 1, 0, 1]]
    probabilities = [[0.8, 0.1, 0.3, 0.9], [0.2, 0.4, 0.4, 0.9], [0.9, 0.6, 0.5, 0.2]]
    found = figures("multi_label", labels, probabilities, "binary_crossentropy")
    assert found["val_roc_auc"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["val_accuracy"] == pytest.approx(9 / 12)


def test_where_no_class_has_both_there_is_no_area(figures):
    found = figures("single_label", [[0, 1, 0]] * 2, [[0.1, 0.8, 0.1], [0.5, 0.3, 0.2]])
    assert np.isnan(found["val_roc_auc"])
    assert found["val_loss"] == pytest.approx(-np.log([0.8, 0.3]).mean(), rel=1e-5)


def test_probabilities_that_are_no_numbers_have_no_area(figures):
    found = figures("binary", [[1, 0], [0, 1]], [[np.nan, np.nan], [0.5, 0.5]])
    assert np.isnan(found["val_roc_auc"])
    assert np.isnan(found["val_loss"])


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        ("binary", [[1, 0], [1, 0], [1, 0], [0, 1]], 0.75),
        ("single_label", [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], 0.5),
        # Of each class what most images are: 3/4, 1, 1/2 and 3/4.
        ("multi_label", [[1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], 0.75),
    ],
)
def test_the_majority_classifier_gives_every_image_the_best_answer_there_is(make, easy, task, labels, expected):
    fold = Fold(easy[1].images, np.arange(4), np.array(labels, np.float32), np.ones(4, np.int32))
    assert objective.majority_accuracy(make.training_data(easy[0], fold, task)) == expected
