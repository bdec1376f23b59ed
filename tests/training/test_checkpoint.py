import json
import threading

import keras
import numpy as np
import pytest

from glassbox.networks.errors import ModelError
from glassbox.params.experiments import Augmentation, EarlyStopping
from glassbox.training.batches import Fold
from glassbox.training.checkpoint import Checkpoint, Stopping

EVERYTHING = Augmentation(horizontal_flip=True, shift=0.1, rotation=20.0, zoom=0.2, brightness=0.2)
#: A rate that depends on the number of the step, and an optimiser with a memory.
DECAYING = {"name": "sgd", "learning_rate": 0.02, "decay": 0.01, "momentum": 0.9, "nesterov": True}
COSINE = {"name": "adamw", "learning_rate": 0.003, "schedule": "cosine", "weight_decay": 0.01}


class KilledError(Exception):
    """What ends a training in the middle, as far as one process can."""


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def shown(make, easy):
    """Balanced by weights, with films that vary."""
    return make.training_data(*easy, augmentation=EVERYTHING, class_weight="balanced")


@pytest.fixture
def misleading(make, easy):
    """What is learnt here raises the validation loss."""
    train, validation = easy
    exchanged = Fold(train.images, train.positions, train.labels[:, ::-1], train.draws)
    return make.training_data(exchanged, validation)


@pytest.fixture
def fresh(make):
    """Builds the same network each time; what came before leaves the generators in another state."""

    def fresh():
        model = make.tiny(seed=5, dropout=0.4, dense=(8,))
        keras.utils.set_random_seed(np.random.default_rng().integers(1 << 30).item())
        return model

    return fresh


@pytest.fixture
def resumed(make, fresh, tmp_path):
    """Trains undisturbed, and killed after so many epochs: rows and weights of both."""

    def resumed(shown, kills, **changes):
        undisturbed, path = fresh(), tmp_path / "killed.npz"
        whole = make.run(undisturbed, shown, tmp_path / "undisturbed.npz", **changes)
        for epochs in kills:
            with pytest.raises(KilledError):
                make.run(fresh(), shown, path, on_epoch=dying_after(epochs), **changes)
        network, reported = fresh(), []
        rows = make.run(network, shown, path, on_epoch=reported.append, **changes)
        assert reported == rows, "the epochs that were taken up are reported again"
        return (whole, undisturbed.get_weights()), (rows, network.get_weights())

    return resumed


def dying_after(epochs):
    """Dies when so many epochs were reported."""
    reported = []

    def on_epoch(row):
        reported.append(row)
        if len(reported) == epochs:
            raise KilledError

    return on_epoch


# --- taken up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [(2,), pytest.param((1, 2, 3, 4), marks=pytest.mark.long)])
def test_a_phase_killed_after_an_epoch_ends_in_the_same_bytes(resumed, shown, kills):
    """With Dropout, class weights, epochs that end within a pass, and an optimiser with a memory and a decay."""
    (whole, expected), (rows, found) = resumed(
        shown, kills, epochs=4, first_epoch=3, steps_per_epoch=4, optimizer=DECAYING
    )
    assert rows == whole
    assert [row["epoch"] for row in rows] == [3, 4, 5, 6]
    assert same(found, expected)


def test_a_phase_killed_when_it_was_to_stop_trains_no_further_and_has_the_best_weights(resumed, misleading):
    (whole, expected), (rows, found) = resumed(misleading, (2,), epochs=9, early_stopping={"patience": 1})
    assert np.argmin([row["val_loss"] for row in whole]) == 0
    assert len(rows) == 2
    assert rows == whole
    assert same(found, expected)


@pytest.mark.long
def test_a_phase_in_half_precision_goes_on_with_the_scale_of_its_loss(resumed, shown):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        (whole, expected), (rows, found) = resumed(shown, (1,), epochs=2, steps_per_epoch=3, optimizer=COSINE)
    finally:
        keras.config.set_dtype_policy("float32")
    assert rows == whole
    assert same(found, expected)


def test_a_loss_that_is_no_number_leaves_the_last_good_epoch_in_its_place(make, fresh, shown, tmp_path):
    network, path, asked = fresh(), tmp_path / "phase.npz", {"epochs": 4, "steps_per_epoch": 2}

    def spoil(_):
        network.get_layer("head_output").bias.assign([np.nan, 0.0])

    with pytest.raises(ModelError, match="fine_tune, epoch 1, step 0: the loss is nan"):
        make.run(network, shown, path, on_epoch=spoil, **asked)
    assert len(json.loads(str(np.load(path)["rest"]))["history"]) == 1
    undisturbed = make.run(fresh(), shown, tmp_path / "undisturbed.npz", **asked)
    assert make.run(fresh(), shown, path, **asked) == undisturbed


# --- the file ----------------------------------------------------------------------------------------------


def small(value):
    """A network of two weights and its optimiser, all of one value."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False), keras.layers.Dropout(0.5)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    for variable in state(model):
        variable.assign(np.full(variable.shape, value))
    return model


def state(model):
    return [*model.variables, *model.optimizer.variables]


def values(model):
    return [np.array(np.asarray(variable)) for variable in state(model)]


def stopping(model=None):
    """Early stopping, before any epoch or after a good and a bad one."""
    early = Stopping(EarlyStopping(patience=3))
    for loss in (0.25, 0.5) if model else ():
        early.update(model, loss)
    return early


ROWS = [{"epoch": 0, "phase": "fine_tune", "loss": 0.123457, "val_roc_auc": float("nan")}]


@pytest.fixture
def whole(tmp_path):
    """What was put aside of a small network whose values are 3."""
    model = small(3)
    checkpoint = Checkpoint(tmp_path / "whole" / "phase.npz")
    save(checkpoint, model)
    return checkpoint


def save(checkpoint, model):
    """Puts a network aside, after a good and a bad epoch."""
    checkpoint.save(model, stopping(model), ROWS)
    checkpoint.close()


def test_weights_optimiser_generators_best_weights_and_history_are_put_aside(whole):
    model, early = small(1), stopping()
    rows = whole.load(model, early)
    assert same(values(model), values(small(3)))
    # One weight, Dropout's generator, the count of steps, the rate and the momentum.
    assert len(values(model)) == 5
    assert (early.best, early.waited) == (0.25, 1)
    assert same(early.weights, [np.full((2, 1), 3.0)])
    assert {key: rows[0][key] for key in ("epoch", "phase", "loss")} == {
        key: ROWS[0][key] for key in ("epoch", "phase", "loss")
    }
    assert np.isnan(rows[0]["val_roc_auc"])


def test_the_same_state_is_put_aside_in_the_same_bytes(whole, tmp_path):
    save(Checkpoint(tmp_path / "again.npz"), small(3))
    assert (tmp_path / "again.npz").read_bytes() == whole.path.read_bytes()


def test_what_changes_while_it_is_written_is_put_aside_as_it_was(whole, tmp_path, monkeypatch):
    model, later, changed, savez = small(3), Checkpoint(tmp_path / "later.npz"), threading.Event(), np.savez

    def slow(stream, **arrays):
        assert changed.wait(60)
        savez(stream, **arrays)

    monkeypatch.setattr(np, "savez", slow)
    later.save(model, stopping(model), history := list(ROWS))
    history.append("another epoch")
    model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    assert not same(values(model)[:1], values(small(3))[:1])
    for variable in state(model):
        variable.assign(np.full(variable.shape, 7))
    changed.set()
    later.close()
    assert later.path.read_bytes() == whole.path.read_bytes()


def test_where_nothing_was_put_aside_a_phase_begins(tmp_path):
    model, early = small(1), stopping()
    assert Checkpoint(tmp_path / "none.npz").load(model, early) == []
    assert same(values(model), values(small(1)))
    assert early == stopping()


def damaged(content):
    """What a damaged disk or a full one makes of a file: it ends early, is empty, or has one other bit."""
    yield from (content[:length] for length in (0, 4, 100, len(content) // 2, len(content) - 1))
    yield b"\0" * len(content)
    generator = np.random.default_rng(1)
    for position in generator.integers(0, len(content), 50):
        changed = bytearray(content)
        changed[position] ^= 1 << int(generator.integers(8))
        yield bytes(changed)


def test_a_damaged_file_begins_the_phase_anew_or_leads_to_what_was_put_aside(whole):
    content, expected, begun = whole.path.read_bytes(), values(small(3)), 0
    model = small(1)
    beginning = values(model)
    for damage in damaged(content):
        whole.path.write_bytes(damage)
        early = stopping()
        if whole.load(model, early):
            # A date or an attribute in the archive's list: nothing that is read.
            assert same(values(model), expected)
            assert (early.best, early.waited, len(early.weights)) == (0.25, 1, 1)
            for variable, value in zip(state(model), beginning, strict=True):
                variable.assign(value)
        else:
            begun += 1
            assert same(values(model), beginning)
            assert early == stopping()
    assert begun > 30


def test_a_file_that_cannot_be_written_leaves_the_one_before(whole, monkeypatch):
    before = whole.path.read_bytes()

    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        save(whole, small(7))
    assert whole.path.read_bytes() == before
    assert [path.name for path in whole.path.parent.iterdir()] == ["phase.npz"]


# --- early stopping ------------------------------------------------------------------------------------------

#: Validation losses, some of which occur twice or never fall.
SEQUENCES = [
    [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
    [0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    [0.9, 0.5, 0.7, 0.4, 0.6, 0.5, 0.3],
    [0.9, 0.8, 0.8, 0.7, 0.7, 0.7, 0.6],
    *np.random.default_rng(1).choice([0.2, 0.3, 0.4, 0.5, 0.6], (12, 9)).tolist(),
]


def network():
    """A network of one weight, which is the number of the epoch."""
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])


def stopped(settings, losses):
    """The epochs that were trained for and the one whose weights are left, counted from 0."""
    model, stopping = network(), Stopping(settings)
    for epoch, loss in enumerate(losses):
        model.set_weights([np.array([[epoch]])])
        stopping.update(model, loss)
        if stopping.due:
            break
    stopping.restore(model)
    return epoch + 1, int(model.get_weights()[0].item())


def stopped_by_keras(patience, losses):
    """The same, by the callback of Keras."""
    model = network()
    callback = keras.callbacks.EarlyStopping("val_loss", mode="min", patience=patience, restore_best_weights=True)
    callback.set_model(model)
    model.stop_training = False
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        model.set_weights([np.array([[epoch]])])
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, int(model.get_weights()[0].item())


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_it_stops_when_keras_does_and_leaves_the_same_weights(patience):
    settings = EarlyStopping(patience=patience)
    found = [stopped(settings, losses) for losses in SEQUENCES]
    assert found == [stopped_by_keras(patience, losses) for losses in SEQUENCES]
    assert len(set(found)) > 2


@pytest.mark.parametrize(
    ("patience", "losses", "epochs", "best"),
    [
        (1, [0.5, 0.6, 0.1], 2, 0),
        (2, [0.5, 0.6, 0.4, 0.4, 0.4, 0.1], 5, 2),
        (2, [0.5, 0.4, 0.3], 3, 2),
        (3, [0.5, 0.6, 0.7], 3, 0),
    ],
)
def test_it_waits_as_many_epochs_as_its_patience_after_the_best_one(patience, losses, epochs, best):
    assert stopped(EarlyStopping(patience=patience), losses) == (epochs, best)


@pytest.mark.parametrize(
    ("losses", "epochs", "best"),
    [
        ([0.5, 0.09, 0.05], 2, 1),
        ([0.5, 0.1, 0.0999], 3, 2),
        ([0.05, 0.01], 1, 0),
        ([0.5, 0.6, 0.6, 0.05], 3, 0),
        ([0.5, 0.4, 0.3], 3, 2),
    ],
)
def test_below_stops_as_soon_as_the_loss_is_below_it_and_patience_counts_besides(losses, epochs, best):
    assert stopped(EarlyStopping(patience=2, below=0.1), losses) == (epochs, best)


def test_without_early_stopping_it_is_never_due_and_the_last_weights_stay():
    assert stopped(None, [0.5, 0.6, 0.7, 0.8]) == (4, 3)


def test_before_the_first_epoch_there_is_nothing_to_give_back():
    model, stopping = network(), Stopping(EarlyStopping(patience=1))
    before = model.get_weights()
    stopping.restore(model)
    assert not stopping.due
    np.testing.assert_array_equal(model.get_weights(), before)
