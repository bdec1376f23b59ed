import itertools
import threading
from contextlib import closing

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from glassbox.artifacts import history
from glassbox.networks import network as networks
from glassbox.networks.errors import ModelError
from glassbox.params.experiments import Augmentation, Optimizer
from glassbox.training import strategies
from glassbox.training.batches import Fold, training
from glassbox.training.strategies import infer

PLAIN = Augmentation()
#: Leaves a network as it is, so that each of its batches can be redone.
STILL = {"freeze": "everything", "optimizer": {"name": "sgd", "learning_rate": 1e-12}}


@pytest.fixture
def network(make):
    """A network of one convolution with the weights that the seed gives."""
    return make.tiny()


@pytest.fixture
def run(make, easy, tmp_path):
    """Trains a network on the easy films as asked."""
    train, validation = easy

    def run(model, *, fold=train, batch_size=16, class_weight="none", **changes):
        data = make.training_data(fold, validation, batch_size=batch_size, class_weight=class_weight)
        return make.run(model, data, tmp_path / "phase.npz", **changes)

    return run


def batches(fold, number, count=6):
    """The batches of a pass over the easy films."""
    with closing(training(fold, PLAIN, 16, 3, first_pass=number)) as stream:
        return list(itertools.islice(stream, count))


def losses(model, images, labels):
    """The categorical cross-entropy of each image; (N,)."""
    return -np.log((model.predict_on_batch(images).astype(float) * labels).sum(axis=1))


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- what is learnt ----------------------------------------------------------------------------------------


def test_an_easy_task_is_learnt_and_its_epochs_are_reported_as_they_end(network, run, easy):
    reported = []
    cosine = {"learning_rate": 0.04, "schedule": "cosine"}
    rows = run(network, epochs=4, first_epoch=4, steps_per_epoch=9, optimizer=cosine, on_epoch=reported.append)
    assert reported == rows
    assert [tuple(row) for row in rows] == [history.COLUMNS] * 4
    assert [row["epoch"] for row in rows] == [4, 5, 6, 7]
    assert {row["phase"] for row in rows} == {"fine_tune"}
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert rows[-1]["val_roc_auc"] > 0.95
    assert [rows[1]["learning_rate"], rows[-1]["learning_rate"]] == pytest.approx([0.02, 0.0], abs=1e-6)
    # Without early stopping the last epoch's weights stay, and validation sees every film as it is.
    validation = easy[1]
    probabilities = infer(network, validation)
    truth = validation.labels[:, 1]
    assert rows[-1]["val_loss"] == pytest.approx(log_loss(truth, probabilities[:, 1].astype(float)), abs=1e-5)
    assert rows[-1]["val_roc_auc"] == pytest.approx(roc_auc_score(truth, probabilities[:, 1]), abs=1e-6)
    assert rows[-1]["val_accuracy"] == pytest.approx(((probabilities[:, 1] > 0.5) == truth).mean(), abs=1e-6)


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches(network, run, easy):
    """On a two-way softmax both losses are the same number."""
    rows = run(network, epochs=2, loss="binary_crossentropy", **STILL)
    for row in rows:
        shown = batches(easy[0], row["epoch"])
        hits = [
            (network.predict_on_batch(images).argmax(1) == labels.argmax(1)).mean() for images, labels in shown
        ]
        each = [losses(network, images, labels).mean() for images, labels in shown]
        assert row["loss"] == pytest.approx(np.mean(each), abs=2e-5)
        assert row["accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)
        assert abs(each[-1] - np.mean(each)) > 1e-4
        expected = log_loss(easy[1].labels[:, 1], infer(network, easy[1])[:, 1].astype(float))
        assert row["val_loss"] == pytest.approx(expected, abs=2e-5)


def test_with_class_weights_the_loss_of_an_image_counts_by_its_class(network, run, easy):
    """Three quarters of what a pass shows are negative: those count 2/3, the positive ones twice."""
    train = easy[0]
    draws = np.where(train.labels[:, 0] == 1, 3, 1).astype(np.int32)
    fold = Fold(train.images, train.positions, train.labels, draws)
    (row,) = run(network, fold=fold, class_weight="balanced", **STILL)
    weighted, plain = [], []
    for images, labels in batches(fold, 0, 12):
        each = losses(network, images, labels)
        plain.append(each.mean())
        weighted.append((each * (labels @ [2 / 3, 2.0])).mean())
    assert row["loss"] == pytest.approx(np.mean(weighted), abs=2e-5)
    assert abs(np.mean(weighted) - np.mean(plain)) > 1e-3
    expected = log_loss(easy[1].labels[:, 1], infer(network, easy[1])[:, 1].astype(float))
    assert row["val_loss"] == pytest.approx(expected, abs=2e-5), "validation is not weighted"


def test_an_epoch_of_given_steps_ends_within_a_pass_and_the_next_goes_on_from_there(network, run, easy):
    rows = run(network, epochs=3, first_epoch=5, steps_per_epoch=4, **STILL)
    shown = [*batches(easy[0], 5), *batches(easy[0], 6)]
    for row, first in zip(rows, (0, 4, 8), strict=True):
        each = [losses(network, images, labels).mean() for images, labels in shown[first : first + 4]]
        assert row["loss"] == pytest.approx(np.mean(each), abs=2e-5)


def test_a_phase_without_epochs_leaves_the_network_as_it_is(network, run):
    before = network.get_weights()
    assert run(network, epochs=0) == []
    assert same(before, network.get_weights())


def test_a_fold_smaller_than_a_batch_is_trained_on_in_one(network, run):
    before = network.get_weights()
    one, two = run(network, batch_size=500, epochs=2, optimizer={"name": "sgd", "decay": 0.5})
    # One step an epoch, which the rate's decay counts.
    rates = [one["learning_rate"], two["learning_rate"]]
    assert rates == pytest.approx([0.003 / 1.5, 0.003 / 2.0], abs=1e-6)
    assert not same(before, network.get_weights())


def test_an_epoch_is_printed_in_one_line(network, run, capsys):
    (epoch,) = run(network, first_epoch=2, **STILL)
    figures = ", ".join(f"{name} {epoch[name]:.4g}" for name in history.COLUMNS[2:])
    assert capsys.readouterr().out == f"fine_tune epoch 2: {figures}\n"


@pytest.fixture
def steps(monkeypatch):
    """Notes steps of training and the reading of their losses, which are NaN from the fourth step on."""
    log, train = [], strategies.train

    class Loss(float):
        def __float__(self):
            log.append("read")
            return super().__float__()

    def step(*batch):
        loss, accuracy = train(*batch)
        log.append("step")
        return Loss(loss if len(log) < 4 else np.nan), accuracy

    monkeypatch.setattr(strategies, "train", step)
    return log


def test_the_figures_of_an_epoch_are_read_after_its_last_step(network, run, steps):
    run(network, steps_per_epoch=3)
    assert steps == ["step"] * 3 + ["read"] * 3


def test_a_loss_that_is_no_number_is_refused_with_its_first_step_once_its_epoch_ends(network, run, steps):
    with pytest.raises(ModelError, match="fine_tune, epoch 7, step 3: the loss is nan"):
        run(network, first_epoch=7, steps_per_epoch=6)
    assert steps.count("step") == 6


# --- when it stops -----------------------------------------------------------------------------------------


def test_early_stopping_waits_for_its_patience_and_ends_with_the_best_epochs_weights(network, run, easy):
    """What is learnt from exchanged labels raises the validation loss."""
    train, weights = easy[0], []
    rows = run(
        network,
        fold=Fold(train.images, train.positions, train.labels[:, ::-1], train.draws),
        epochs=9,
        early_stopping={"patience": 2},
        on_epoch=lambda _: weights.append(network.get_weights()),
    )
    best = int(np.argmin([row["val_loss"] for row in rows]))
    assert len(rows) == best + 1 + 2 < 9
    assert same(network.get_weights(), weights[best])
    assert not same(network.get_weights(), weights[-1])


def test_a_loss_below_what_was_asked_for_ends_the_training(network, run):
    early = {"patience": 9, "below": 0.6}
    rows = run(network, epochs=9, optimizer={"learning_rate": 0.04}, early_stopping=early)
    assert [row["val_loss"] < 0.6 for row in rows] == [False] * (len(rows) - 1) + [True]
    assert len(rows) < 9


def test_a_loss_that_is_no_number_ends_the_training_and_its_thread(network, run):
    reported, threads = [], set(threading.enumerate())
    with pytest.raises(ModelError, match=r"fine_tune, epoch 0, step \d: the loss is ") as refusal:
        run(network, epochs=3, optimizer={"name": "sgd", "learning_rate": 1e30}, on_epoch=reported.append)
    assert refusal.value.action.startswith("lower fine_tune.optimizer.learning_rate")
    assert reported == []
    assert not set(threading.enumerate()) - threads


def test_a_validation_loss_that_is_no_number_ends_the_training(network, run, tmp_path):
    """Here the one step of the epoch was still fine."""
    with pytest.raises(ModelError, match="fine_tune, epoch 0: the validation loss is nan"):
        run(network, steps_per_epoch=1, optimizer={"name": "sgd", "learning_rate": 1e38})
    assert not list(tmp_path.iterdir())


# --- optimisers --------------------------------------------------------------------------------------------


def rate_at(settings, step, steps=100):
    optimizer = networks.optimizer(settings, steps)
    optimizer.build([keras.Variable(np.zeros(1))])
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam", "adamw"])
def test_a_constant_rate_stays(name):
    settings = Optimizer(name=name, learning_rate=0.02)
    assert [rate_at(settings, step) for step in (0, 50, 100)] == pytest.approx([0.02] * 3)


def test_a_cosine_falls_from_the_rate_to_zero_over_the_phase():
    settings = Optimizer(name="adamw", learning_rate=0.02, schedule="cosine")
    rates = [rate_at(settings, step) for step in (0, 25, 50, 100)]
    assert rates == pytest.approx([0.02, 0.01 * (1 + np.cos(np.pi / 4)), 0.01, 0.0], abs=1e-8)


def test_decay_is_the_old_formula_of_keras():
    settings = Optimizer(name="sgd", learning_rate=0.02, decay=1e-3)
    rates = [rate_at(settings, step) for step in (0, 1, 10, 5000)]
    assert rates == pytest.approx([0.02 / (1 + 1e-3 * step) for step in (0, 1, 10, 5000)], rel=1e-6)


def test_each_optimiser_takes_what_is_its_own():
    sgd = networks.optimizer(Optimizer(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True), 1)
    assert (type(sgd), sgd.momentum, sgd.nesterov) == (keras.optimizers.SGD, 0.9, True)
    assert type(networks.optimizer(Optimizer(name="rmsprop", learning_rate=0.1), 1)) is keras.optimizers.RMSprop
    adam = networks.optimizer(Optimizer(name="adam", learning_rate=0.1, beta_1=0.8), 1)
    assert (type(adam), adam.beta_1, adam.weight_decay) == (keras.optimizers.Adam, 0.8, None)
    adamw = networks.optimizer(Optimizer(name="adamw", learning_rate=0.1, weight_decay=0.04), 1)
    assert (type(adamw), adamw.beta_1, adamw.weight_decay) == (keras.optimizers.AdamW, 0.9, 0.04)
