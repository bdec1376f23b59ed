import keras
import numpy as np
import pytest

from glassbox.learning.batches import Fold
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.errors import ModelError
from glassbox.learning.stopping import Stopping
from glassbox.params.experiments import Augmentation, EarlyStopping

EVERYTHING = Augmentation(horizontal_flip=True, shift=0.1, rotation=20.0, zoom=0.2, brightness=0.2)
#: A rate that depends on the number of the step, and an optimiser with a memory.
DECAYING = {"name": "sgd", "learning_rate": 0.02, "decay": 0.01, "momentum": 0.9, "nesterov": True}
COSINE = {"name": "adamw", "learning_rate": 0.003, "schedule": "cosine", "weight_decay": 0.01}


class KilledError(Exception):
    """What ends a training in the middle, as far as one process can."""


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def lesson(make, easy):
    """Balanced by weights, with films that vary."""
    return make.lesson(*easy, augmentation=EVERYTHING, class_weight="balanced")


@pytest.fixture
def misleading(make, easy):
    """What is learnt here raises the validation loss."""
    train, validation = easy
    exchanged = Fold(train.images, train.positions, train.labels[:, ::-1], train.draws)
    return make.lesson(exchanged, validation)


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

    def resumed(lesson, kills, **changes):
        undisturbed, path = fresh(), tmp_path / "killed.npz"
        whole = make.run(undisturbed, lesson, tmp_path / "undisturbed.npz", **changes)
        for epochs in kills:
            with pytest.raises(KilledError):
                make.run(fresh(), lesson, path, on_epoch=dying_after(epochs), **changes)
        network, told = fresh(), []
        rows = make.run(network, lesson, path, on_epoch=told.append, **changes)
        assert told == rows, "the epochs that were taken up are told of again"
        return (whole, undisturbed.get_weights()), (rows, network.get_weights())

    return resumed


def dying_after(epochs):
    """Dies when so many epochs were told of."""
    told = []

    def on_epoch(row):
        told.append(row)
        if len(told) == epochs:
            raise KilledError

    return on_epoch


# --- taken up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [(2,), pytest.param((1, 2, 3, 4), marks=pytest.mark.long)])
def test_a_phase_killed_after_an_epoch_ends_in_the_same_bytes(resumed, lesson, kills):
    """With Dropout, class weights, epochs that end within a pass, and an optimiser with a memory and a decay."""
    (whole, expected), (rows, found) = resumed(
        lesson, kills, epochs=4, first_epoch=3, steps_per_epoch=4, optimizer=DECAYING
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
def test_a_phase_in_half_precision_goes_on_with_the_scale_of_its_loss(resumed, lesson):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        (whole, expected), (rows, found) = resumed(lesson, (1,), epochs=2, steps_per_epoch=3, optimizer=COSINE)
    finally:
        keras.config.set_dtype_policy("float32")
    assert rows == whole
    assert same(found, expected)


def test_a_loss_that_is_no_number_leaves_the_last_good_epoch_in_its_place(make, fresh, lesson, tmp_path):
    network, path, good = fresh(), tmp_path / "phase.npz", []

    def spoil(row):
        good.append(path.read_bytes())
        network.get_layer("head_output").bias.assign([np.nan, 0.0])

    with pytest.raises(ModelError, match="fine_tune, epoch 1, step 0: the loss is nan"):
        make.run(network, lesson, path, epochs=4, steps_per_epoch=2, on_epoch=spoil)
    assert [path.read_bytes()] == good


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
    return [keras.ops.convert_to_numpy(variable).copy() for variable in state(model)]


def stopping(model=None):
    """Early stopping, before any epoch or after a good and a bad one."""
    noticed = Stopping(EarlyStopping(patience=3))
    for loss in (0.25, 0.5) if model else ():
        noticed.notice(model, loss)
    return noticed


ROWS = [{"epoch": 0, "phase": "fine_tune", "loss": 0.123457, "val_roc_auc": float("nan")}]


@pytest.fixture
def whole(tmp_path):
    """What was put aside of a small network whose values are 3."""
    model = small(3)
    checkpoint = Checkpoint(tmp_path / "whole" / "phase.npz")
    checkpoint.save(model, stopping(model), ROWS)
    return checkpoint


def test_weights_optimiser_generators_best_weights_and_history_are_put_aside(whole):
    model, noticed = small(1), stopping()
    rows = whole.load(model, noticed)
    assert same(values(model), values(small(3)))
    # One weight, Dropout's generator, the count of steps, the rate and the momentum.
    assert len(values(model)) == 5
    assert (noticed.best, noticed.waited) == (0.25, 1)
    assert same(noticed.weights, [np.full((2, 1), 3.0)])
    assert {key: rows[0][key] for key in ("epoch", "phase", "loss")} == {
        key: ROWS[0][key] for key in ("epoch", "phase", "loss")
    }
    assert np.isnan(rows[0]["val_roc_auc"])


def test_the_same_state_is_put_aside_in_the_same_bytes(whole, tmp_path):
    model = small(3)
    Checkpoint(tmp_path / "again.npz").save(model, stopping(model), ROWS)
    assert (tmp_path / "again.npz").read_bytes() == whole.path.read_bytes()


def test_where_nothing_was_put_aside_a_phase_begins(tmp_path):
    model, noticed = small(1), stopping()
    assert Checkpoint(tmp_path / "none.npz").load(model, noticed) == []
    assert same(values(model), values(small(1)))
    assert noticed == stopping()


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
        noticed = stopping()
        if whole.load(model, noticed):
            # A date or an attribute in the archive's list: nothing that is read.
            assert same(values(model), expected)
            assert (noticed.best, noticed.waited, len(noticed.weights)) == (0.25, 1, 1)
            for variable, value in zip(state(model), beginning, strict=True):
                variable.assign(value)
        else:
            begun += 1
            assert same(values(model), beginning)
            assert noticed == stopping()
    assert begun > 30


def test_a_file_that_cannot_be_written_leaves_the_one_before(whole, monkeypatch):
    before = whole.path.read_bytes()

    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    model = small(7)
    with pytest.raises(OSError, match="No space left"):
        whole.save(model, stopping(model), ROWS)
    assert whole.path.read_bytes() == before
    assert [path.name for path in whole.path.parent.iterdir()] == ["phase.npz"]
