"""What a step of training changes; which layers are meant is said in test_architectures.py."""

import keras
import numpy as np
import pytest

from glassbox.learning import keras_file
from glassbox.learning.freezing import freeze

STATISTICS = ("moving_mean", "moving_variance")


def by_name(model):
    """Every weight of a model as an array, by its path."""
    return {weight.path: weight.numpy() for weight in model.weights}


@pytest.fixture
def step(make):
    """Freezes a network as asked, and takes a step of training; the paths of the weights that changed."""

    def step(model, what):
        freeze(model, make.phase(freeze=what).freeze)
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        before = by_name(model)
        positive = np.arange(8) % 2 == 1
        model.train_on_batch(make.films(positive), np.stack([~positive, positive], 1).astype(np.float32))
        after = by_name(model)
        return {path for path in before if not np.array_equal(before[path], after[path])}

    return step


HEAD = {"head_output/kernel", "head_output/bias"}
NORMALISATION = {f"tiny_bn/{name}" for name in ("gamma", "beta", *STATISTICS)}


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("nothing", {"tiny_conv/kernel"} | NORMALISATION | HEAD),
        # The moving statistics of its batch normalisation rest with a backbone.
        ("everything", HEAD),
        ("all_but_batch_normalisation", NORMALISATION | HEAD),
        ({"all_but_last": 1}, NORMALISATION | HEAD),
    ],
)
def test_a_step_changes_what_is_not_frozen_and_nothing_else(make, step, what, changed):
    assert step(make.tiny(), what) == changed


def test_a_loaded_model_whose_backbone_was_frozen_trains_it_when_nothing_is_frozen(make, step, tmp_path):
    """Keras loads such a model with `trainable` true for the whole and false for its layers."""
    network = make.tiny()
    freeze(network, "everything")
    keras_file.save(network, tmp_path / "frozen.keras")
    loaded = keras_file.load(tmp_path / "frozen.keras")
    assert not loaded.get_layer("tiny_conv").trainable
    assert step(loaded, "nothing") == set(by_name(loaded))
