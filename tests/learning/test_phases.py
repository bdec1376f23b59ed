import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from glassbox.errors import ModelError
from glassbox.learning import history, network, phases
from glassbox.learning.batches import Fold, training
from glassbox.learning.inference import infer
from glassbox.params import Augmentation, Optimizer, Training

PLAIN = Augmentation()


@pytest.fixture
def compact(make):
    """A compact network with the weights that the seed gives."""
    keras.utils.set_random_seed(2)
    return network.build(make.model(normalise="standardise"), 32, 2, 85.0, 40.0)


@pytest.fixture
def run(make, easy):
    """Trains a network on the easy films as asked."""
    train, validation = easy

    def run(model, *, on_epoch=lambda _: None, fold=train, first_epoch=0, batch_size=16, **changes):
        return phases.run(
            model,
            make.phase(**changes),
            name="fine_tune",
            training=Training(seed=3, batch_size=batch_size),
            augmentation=PLAIN,
            train=fold,
            validation=validation,
            first_epoch=first_epoch,
            on_epoch=on_epoch,
        )

    return run


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# --- what is learnt ----------------------------------------------------------------------------------------


def test_an_easy_task_is_learnt_and_its_epochs_are_told_as_they_end(compact, run, easy):
    told = []
    cosine = {"learning_rate": 0.004, "schedule": "cosine"}
    rows = run(compact, epochs=6, first_epoch=4, optimizer=cosine, on_epoch=told.append)
    assert told == rows
    assert [tuple(row) for row in rows] == [history.COLUMNS] * 6
    assert [row["epoch"] for row in rows] == [4, 5, 6, 7, 8, 9]
    assert {row["phase"] for row in rows} == {"fine_tune"}
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["val_roc_auc"] > 0.95
    assert [rows[2]["learning_rate"], rows[-1]["learning_rate"]] == pytest.approx([0.002, 0.0], abs=1e-6)
    # Without early stopping the last epoch's weights stay, and validation sees every film as it is.
    validation = easy[1]
    probabilities = infer(compact, validation)
    truth = validation.labels[:, 1]
    assert rows[-1]["val_loss"] == pytest.approx(log_loss(truth, probabilities[:, 1].astype(float)), abs=1e-5)
    assert rows[-1]["val_roc_auc"] == pytest.approx(roc_auc_score(truth, probabilities[:, 1]), abs=1e-6)
    assert rows[-1]["val_accuracy"] == pytest.approx(((probabilities[:, 1] > 0.5) == truth).mean(), abs=1e-6)


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "binary_crossentropy"])
def test_the_loss_of_an_epoch_is_the_mean_over_its_batches(compact, run, easy, loss):
    """A rate of nearly zero and a frozen backbone leave the network as it is, so that each batch can be redone."""
    train, _ = easy
    rows = run(compact, epochs=2, loss=loss, freeze="backbone", optimizer={"name": "sgd", "learning_rate": 1e-12})
    for row in rows:
        losses, hits = [], []
        for images, labels in training(train, PLAIN, 16, 3, row["epoch"]):
            probabilities = compact.predict_on_batch(images).astype(float)
            # On a two-way softmax both losses are the same number.
            losses.append(-np.log((probabilities * labels).sum(axis=1)).mean())
            hits.append((probabilities.argmax(axis=1) == labels.argmax(axis=1)).mean())
        assert len(losses) == 6
        assert row["loss"] == pytest.approx(np.mean(losses), abs=2e-5)
        assert row["accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)
        assert abs(losses[-1] - np.mean(losses)) > 1e-4
        expected = log_loss(easy[1].labels[:, 1], infer(compact, easy[1])[:, 1].astype(float))
        assert row["val_loss"] == pytest.approx(expected, abs=2e-5)


def test_a_phase_without_epochs_leaves_the_network_as_it_is(compact, run):
    before = compact.get_weights()
    assert run(compact, epochs=0) == []
    assert same(before, compact.get_weights())


def test_a_fold_smaller_than_a_batch_is_trained_on_in_one(compact, run):
    before = compact.get_weights()
    one, two = run(compact, batch_size=500, epochs=2, optimizer={"name": "sgd", "decay": 0.5})
    # One step an epoch, which the rate's decay counts.
    rates = [one["learning_rate"], two["learning_rate"]]
    assert rates == pytest.approx([0.003 / 1.5, 0.003 / 2.0], abs=1e-6)
    assert not same(before, compact.get_weights())


# --- when it stops -----------------------------------------------------------------------------------------


@pytest.fixture
def misled(easy):
    """The training fold with its labels exchanged: what is learnt there raises the validation loss."""
    train, _ = easy
    return Fold(train.images, train.positions, train.labels[:, ::-1], train.draws)


def test_early_stopping_waits_for_its_patience_and_ends_with_the_best_epochs_weights(compact, run, misled):
    weights = []
    rows = run(
        compact,
        fold=misled,
        epochs=9,
        early_stopping={"patience": 2},
        on_epoch=lambda _: weights.append(compact.get_weights()),
    )
    losses = [row["val_loss"] for row in rows]
    best = int(np.argmin(losses))
    assert len(rows) == best + 1 + 2 < 9
    assert same(compact.get_weights(), weights[best])
    assert not same(compact.get_weights(), weights[-1])


def test_the_best_epochs_weights_are_kept_when_the_epochs_run_out_first(compact, run, misled):
    weights = []
    rows = run(
        compact,
        fold=misled,
        epochs=3,
        early_stopping={"patience": 9},
        on_epoch=lambda _: weights.append(compact.get_weights()),
    )
    best = int(np.argmin([row["val_loss"] for row in rows]))
    assert best < 2
    assert same(compact.get_weights(), weights[best])


def test_a_loss_that_is_no_number_ends_the_training(compact, run):
    told = []
    with pytest.raises(ModelError) as refusal:
        run(compact, epochs=3, optimizer={"name": "sgd", "learning_rate": 1e30}, on_epoch=told.append)
    assert refusal.value.found.startswith("fine_tune, epoch 0: the loss is ")
    assert "nan" in refusal.value.found
    assert refusal.value.expected == "a finite loss"
    assert refusal.value.action == "lower fine_tune.optimizer.learning_rate, or use precision: float32"
    assert told == []


# --- optimisers --------------------------------------------------------------------------------------------


def rate_at(settings, step, steps=100):
    optimizer = phases.optimizer(settings, steps)
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
    sgd = phases.optimizer(Optimizer(name="sgd", learning_rate=0.1, momentum=0.9, nesterov=True), 1)
    assert (type(sgd), sgd.momentum, sgd.nesterov) == (keras.optimizers.SGD, 0.9, True)
    assert type(phases.optimizer(Optimizer(name="rmsprop", learning_rate=0.1), 1)) is keras.optimizers.RMSprop
    adam = phases.optimizer(Optimizer(name="adam", learning_rate=0.1, beta_1=0.8), 1)
    assert (type(adam), adam.beta_1, adam.weight_decay) == (keras.optimizers.Adam, 0.8, None)
    adamw = phases.optimizer(Optimizer(name="adamw", learning_rate=0.1, weight_decay=0.04), 1)
    assert (type(adamw), adamw.beta_1, adamw.weight_decay) == (keras.optimizers.AdamW, 0.9, 0.04)
