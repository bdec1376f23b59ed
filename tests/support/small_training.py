"""Small films on which a small network learns something, as folds and as a project with an experiment."""

import contextlib
import os
import shutil
from types import SimpleNamespace

# As in the stages: before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import builders
import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from glassbox.artifacts import catalog, recipe
from glassbox.artifacts import split as folds
from glassbox.artifacts.shards import Images
from glassbox.cohorts import nih
from glassbox.files import sha256_file
from glassbox.networks import backbones, network, runtime, weights
from glassbox.params.experiments import Augmentation, Model, Phase, Training
from glassbox.splits import build as split
from glassbox.training import lineage, phases
from glassbox.training import train as training
from glassbox.training.batches import Fold
from glassbox.training.checkpoint import Checkpoint
from glassbox.training.data import TrainingData
from glassbox.training.predict import predict

SIZE = 32
PATIENTS = 50

# TensorFlow lets nobody change the number of its threads once it has computed something.
runtime.prepare(0, "float32", Training(seed=0, batch_size=1).threads)


# --- films -------------------------------------------------------------------------------------------------


def films(positive, seed=1, size=SIZE):
    """Noise, with a bright square somewhere in the middle of the positive ones; uint8 (N, size, size)."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(40, 120, (len(positive), size, size), np.uint8)
    corners = generator.integers(size // 4, size // 2, (len(positive), 2))
    for image, (top, left), ill in zip(pixels, corners, positive, strict=True):
        if ill:
            image[top : top + size // 4, left : left + size // 4] += 120
    return pixels


def marked(labels, seed=1, size=SIZE):
    """Noise with a bright, a dark and a striped square, where columns 1, 2 and 3 say so; uint8 (N, size, size).

    Column 0 stands for none of them.
    """
    generator = np.random.default_rng(seed)
    pixels = generator.integers(60, 120, (len(labels), size, size), np.uint8)
    side, half = size // 4, size // 2
    for image, marks in zip(pixels, np.asarray(labels, bool), strict=True):
        quarters = generator.permutation(4)[:3]
        for kind, quarter in zip(np.flatnonzero(marks[1:]), quarters, strict=False):
            top, left = generator.integers(0, half - side, 2) + half * np.array(divmod(quarter, 2))
            square = image[top : top + side, left : left + side]
            square[:] = (255, 0, 255)[kind]
            if kind == 2:
                square[::2] = 0
    return pixels


def fold(root, pixels, labels, draws=None):
    """A fold of these images, which it writes below `root`; labels of (N,) say which are positive."""
    root.mkdir()
    with contextlib.chdir(root):
        builders.write_shards("films", [str(number) for number in range(len(pixels))], pixels)
        images = Images("films")
    labels = (labels if labels.ndim == 2 else np.stack([~labels, labels], axis=1)).astype(np.float32)
    draws = np.ones(len(pixels), np.int32) if draws is None else np.asarray(draws, np.int32)
    return Fold(images, np.arange(len(pixels)), labels, draws)


# --- networks and what they learn --------------------------------------------------------------------------


def model(**changes):
    """The parameters of a compact network."""
    return Model(**{"backbone": "compact", "normalise": "none"} | changes)


def build(size=SIZE, task="binary", classes=2, mean=0.0, deviation=1.0, **changes):
    """A network for films of 32 x 32 pixels and a question of two classes, where nothing else is asked for."""
    return network.build(model(**changes), size, task, classes, mean=mean, deviation=deviation)


def tiny(seed=2, **changes):
    """The same with a single convolution, the same weights each time: there is little to compile."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIZE, SIZE), dtype="uint8")
    x = layers.Rescaling(1 / 40, -85 / 40, name="pixels_standardise", dtype="float32")(inputs)
    x = layers.Reshape((SIZE, SIZE, 1), name="pixels_channel", dtype="float32")(x)
    x = layers.Conv2D(8, 4, 4, use_bias=False, name="tiny_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name="tiny_bn")(x)
    x = layers.Activation("relu", name="tiny_relu")(x)
    return keras.Model(inputs, network.head(model(**changes), x, 2, "binary"))


def phase(**changes):
    """The parameters of a phase of one epoch, as `builders.phase` takes them."""
    return Phase(**builders.phase(**changes))


def training_data(train, validation, task="binary", augmentation=None, **settings):
    """Two folds, trained on in batches of 16 where nothing else is asked for."""
    settings = Training(**{"seed": 3, "batch_size": 16} | settings)
    return TrainingData(task, train, validation, augmentation or Augmentation(), settings)


def run(model, data, path, *, on_epoch=lambda _: None, name="fine_tune", first_epoch=0, **changes):
    """Trains a network as asked, put aside at `path` after each epoch."""
    return phases.run(
        model,
        phase(**changes),
        data,
        name=name,
        first_epoch=first_epoch,
        checkpoint=Checkpoint(path),
        on_epoch=on_epoch,
    )


# --- a project ---------------------------------------------------------------------------------------------


def write_project():
    """Writes catalog, shards, split, code and no weights into the current folder: 50 patients with two films."""
    ids = [f"{patient:08d}_{number:03d}.png" for patient in range(PATIENTS) for number in range(2)]
    positive = np.arange(PATIENTS).repeat(2) % 5 < 2
    rows = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": [str(patient) for patient in range(PATIENTS) for _ in range(2)],
            "member": ids,
            "findings": [["Mass"] if ill else ["No Finding"] for ill in positive],
            "age": 50.0,
            "sex": np.where(np.arange(2 * PATIENTS) // 2 % 2, "F", "M"),
            "view": "PA",
            "official_split": None,
            "boxes": [[] for _ in ids],
        }
    )
    catalog.write("films", rows, nih.VOCABULARY)
    builders.write_shards("films_32", ids, films(positive))
    params = builders.parameters(builders.document(PATIENTS, SIZE))
    split.build(params.splits["squares"], "squares")
    weights.make(params.weights["none"], "none")
    builders.write_code()


def resolve(weights=None, **experiments):
    """Writes parameters with these experiments on the films of the project, and their recipes; the parameters."""
    return builders.resolve(builders.document(PATIENTS, SIZE, weights=weights or {}, experiments=experiments))


def rows():
    """The rows of the project's split, as `write_rows` takes them."""
    return pd.concat([folds.read("squares", name).assign(fold=name) for name in folds.FOLDS], ignore_index=True)


def write_rows(rows):
    """Writes the project's split anew; its statistics stay."""
    folds.write("squares", rows.astype({"draws": np.int32}), folds.read_statistics("squares"))


def origin(name, phase="fine_tune"):
    """What the model of a phase of an experiment is made from."""
    return lineage.origin(recipe.phase(name, phase), phase)


def train_phase(name, phase, on_epoch=lambda _: None):
    """Trains a phase of an experiment, as its stage does."""
    # Names that Keras numbers begin anew, as in the process of each stage.
    keras.utils.clear_session()
    return training.train(recipe.phase(name, phase), phase, origin(name, phase), on_epoch)


def train(name):
    """Warm start, fine-tuning and predictions of an experiment, in the current folder; the epochs it reported."""
    epochs = []
    train_phase(name, "warm_start")
    train_phase(name, "fine_tune", epochs.append)
    predict(name)
    return epochs


def hashes(*folders):
    """SHA-256 of every file below some folders, by its path."""
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.as_posix(): sha256_file(path) for path in files}


# --- fixtures ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def make():
    """What tests make: `make.films(...)`, `make.phase(...)` and the other functions above."""
    return SimpleNamespace(
        build=build,
        films=films,
        fold=fold,
        hashes=hashes,
        marked=marked,
        model=model,
        origin=origin,
        phase=phase,
        resolve=resolve,
        rows=rows,
        run=run,
        tiny=tiny,
        train=train,
        train_phase=train_phase,
        training_data=training_data,
        write_rows=write_rows,
    )


@pytest.fixture(scope="session")
def easy(tmp_path_factory):
    """A training and a validation fold of 96 and 48 films that are told apart easily."""
    folder = tmp_path_factory.mktemp("easy")
    return tuple(
        fold(folder / name, films(np.arange(count) % 2 == 1, seed), np.arange(count) % 2 == 1)
        for name, count, seed in (("train", 96, 1), ("validation", 48, 2))
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder with the data of an experiment: catalog, shards, split and weights; not to be changed."""
    folder = tmp_path_factory.mktemp("data")
    with contextlib.chdir(folder):
        write_project()
    return folder


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    """A project with those data, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(data / "data", tmp_path / "data")
    return tmp_path


@pytest.fixture(scope="session")
def compact_weights(tmp_path_factory):
    """A file with the weights of a compact backbone, and its SHA-256."""
    keras.utils.set_random_seed(9)
    path = tmp_path_factory.mktemp("weights") / "compact.weights.h5"
    backbones.standalone("compact").save_weights(path)
    return path, sha256_file(path)
