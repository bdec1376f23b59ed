import keras
import numpy as np
import pytest

from glassbox.learning.stopping import Stopping
from glassbox.params.experiments import EarlyStopping

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
        stopping.notice(model, loss)
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
