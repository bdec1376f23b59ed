"""Two CPUs of one machine, which TensorFlow must be told of before it starts: in a process of their own."""

import json
import os
import subprocess
import sys

import pytest

from glassbox.learning import strategies
from glassbox.learning.errors import ModelError
from glassbox.params.experiments import Training

# Without batch normalisation, whose statistics each device would take of its own part.
PROCESS = """
import json
import keras, numpy as np, tensorflow as tf
from keras import layers
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from glassbox.learning import runtime, strategies
from glassbox.params.experiments import Training

generator = np.random.default_rng(1)
images = generator.integers(0, 255, (8, 32, 32), np.uint8)
labels = np.eye(2, dtype=np.float32)[np.arange(8) % 2]
weights = np.linspace(0.5, 1.5, 8, dtype=np.float32)
found = {}
for strategy in ("none", "mirrored"):
    runtime.prepare(3, "float32", 2)
    with strategies.scope(Training(seed=1, batch_size=8, strategy=strategy)):
        model = keras.Sequential([
            keras.Input((32, 32), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Reshape((32, 32, 1)),
            layers.Conv2D(8, 4, 4, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, "softmax"),
        ])
        model.compile(keras.optimizers.SGD(0.5), "categorical_crossentropy", metrics=["categorical_accuracy"])
        strategies.build(model, 8)
        steps = [strategies.train(model, images, labels, given).tolist() for given in (None, weights, None)]
        predicted = strategies.predict(model, images).tolist()
    found[strategy] = {"replicas": strategies.replicas(model), "steps": steps, "predicted": predicted}
print(json.dumps(found))
"""


def test_two_devices_share_each_batch_and_learn_what_one_device_learns_from_the_whole():
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1]).values()
    assert [one["replicas"], two["replicas"]] == [1, 2]
    for single, shared in zip(one["steps"], two["steps"], strict=True):
        assert shared == pytest.approx(single, rel=1e-4)
    assert one["steps"][2][0] < one["steps"][0][0], "a step of training changes the loss"
    for single, shared in zip(one["predicted"], two["predicted"], strict=True):
        assert shared == pytest.approx(single, rel=1e-4)


def test_a_batch_that_the_devices_cannot_share_equally_is_refused(monkeypatch):
    class Three:
        num_replicas_in_sync = 3

    monkeypatch.setattr(strategies, "_mirrored", Three)
    with pytest.raises(ModelError, match=r"training\.batch_size: 32 images for 3 devices"):
        strategies.scope(Training(seed=1, batch_size=32, strategy="mirrored"))


def test_a_strategy_is_refused_where_keras_does_not_run_on_tensorflow(monkeypatch):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    with pytest.raises(ModelError, match=r"training\.strategy: mirrored, and Keras runs on jax"):
        strategies.scope(Training(seed=1, batch_size=32, strategy="mirrored"))
