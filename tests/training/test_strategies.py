"""Two CPUs of one machine, which TensorFlow must be told of before it starts: in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import small_training

from glassbox.networks.errors import ModelError
from glassbox.params.experiments import Training
from glassbox.training import strategies

# Without batch normalisation, whose statistics each device would take of its own part.
PROCESS = """
import json
from pathlib import Path
import keras, numpy as np, tensorflow as tf
from keras import layers
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import small_training
from glassbox.training import strategies

positive = np.arange(48) % 3 == 1
films = small_training.films(positive)
folds = [small_training.fold(Path(name), films, positive) for name in ("train", "validation")]
found = {}
for strategy in ("none", "mirrored"):
    keras.utils.set_random_seed(3)
    data = small_training.training_data(*folds, strategy=strategy, class_weight="balanced")
    with strategies.scope(data.training):
        model = keras.Sequential([
            keras.Input((32, 32), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Reshape((32, 32, 1)),
            layers.Conv2D(8, 4, 4, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, "softmax"),
        ])
        sgd = {"name": "sgd", "learning_rate": 0.5}
        epochs = small_training.run(model, data, Path(f"{strategy}.npz"), epochs=3, optimizer=sgd)
        predicted = strategies.infer(model, data.validation).tolist()
    found[strategy] = {"replicas": strategies.replicas(model), "epochs": epochs, "predicted": predicted}
print(json.dumps(found))
"""


def test_two_devices_share_each_batch_and_learn_what_one_device_learns_from_the_whole(tmp_path):
    support = Path(small_training.__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join([str(support), *sys.path])},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1]).values()
    assert [one["replicas"], two["replicas"]] == [1, 2]
    for single, shared in zip(one["epochs"], two["epochs"], strict=True):
        assert shared.pop("phase") == single.pop("phase")
        assert shared == pytest.approx(single, rel=1e-4)
    assert one["epochs"][2]["loss"] != pytest.approx(one["epochs"][0]["loss"], rel=5e-3), "steps change the loss"
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
