"""Small films on which a small network learns something, as folds and as a project with an experiment."""

import os
from types import SimpleNamespace

# As in the stages: before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import h5py
import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox import layout, params
from glassbox.cohorts import catalog, nih
from glassbox.files import sha256_file, write_json
from glassbox.learning import acquire, backbones, network, phases
from glassbox.learning.batches import Fold
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.lesson import Lesson
from glassbox.learning.predict import predict
from glassbox.learning.record import record
from glassbox.learning.warm_start import warm_start
from glassbox.selection import split
from glassbox.shards.read import Images

SIZE = 32
PATIENTS = 50


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


def write_shards(folder, ids, pixels, per_shard=40):
    """Writes images as shards."""
    folder.mkdir(parents=True)
    names = [f"part-{position // per_shard:05d}.h5" for position in range(len(ids))]
    for start in range(0, len(ids), per_shard):
        with h5py.File(folder / names[start], "w", libver="earliest") as shard:
            shard.create_dataset("images", data=pixels[start : start + per_shard])
    hashes = {name: sha256_file(folder / name) for name in sorted(set(names))}
    index = {
        "image_id": list(ids),
        "shard": names,
        "row": pa.array([position % per_shard for position in range(len(ids))], pa.int32()),
        "source_sha256": [f"{position:064x}" for position in range(len(ids))],
    }
    pq.write_table(pa.table(index), folder / "index.parquet")
    pq.write_table(pa.table({"image_id": pa.array([], pa.string())}), folder / "rejected.parquet")
    origin = {"archive_sha256": "a" * 64, "catalog_sha256": "c" * 64, "shards": hashes}
    write_json(folder / "origin.json", origin)


def fold(folder, pixels, labels, draws=None):
    """A fold of these images, stored in `folder`; labels of (N,) say which are positive."""
    write_shards(folder, [str(number) for number in range(len(pixels))], pixels)
    labels = (labels if labels.ndim == 2 else np.stack([~labels, labels], axis=1)).astype(np.float32)
    draws = np.ones(len(pixels), np.int32) if draws is None else np.asarray(draws, np.int32)
    return Fold(Images(folder), np.arange(len(pixels)), labels, draws)


def model(**changes):
    """The parameters of a compact network."""
    return params.Model(**{"backbone": "compact", "normalise": "none"} | changes)


def phase(**changes):
    """The parameters of a phase of one epoch; the optimiser's own are given as `optimizer`."""
    optimizer = {"name": "adam", "learning_rate": 0.003} | changes.pop("optimizer", {})
    settings = {"epochs": 1, "freeze": "nothing", "loss": "categorical_crossentropy"} | changes
    return params.Phase(**settings, optimizer=optimizer)


def lesson(train, validation, task="binary", augmentation=None, **training):
    """What is learnt from two folds, in batches of 16 where nothing else is asked for."""
    training = params.Training(**{"seed": 3, "batch_size": 16} | training)
    return Lesson(task, train, validation, augmentation or params.Augmentation(), training)


def run(model, what, path, *, on_epoch=lambda _: None, name="fine_tune", first_epoch=0, **changes):
    """Trains a network as asked, put aside at `path` after each epoch."""
    return phases.run(
        model,
        phase(**changes),
        what,
        name=name,
        first_epoch=first_epoch,
        checkpoint=Checkpoint(path),
        on_epoch=on_epoch,
    )


def build(size=SIZE, task="binary", classes=2, mean=0.0, deviation=1.0, **changes):
    """A network for films of 32 x 32 pixels and a question of two classes, where nothing else is asked for."""
    return network.build(model(**changes), size, task, classes, mean=mean, deviation=deviation)


def experiment(**changes):
    """The parameters of an experiment on the films of `project`."""
    return {
        "title": "A compact network",
        "dataset": "films_32",
        "split": "squares",
        "weights": "none",
        "model": {"backbone": "compact", "normalise": "standardise", "dropout": 0.2},
        "augmentation": {"horizontal_flip": True, "shift": 0.1, "rotation": 20.0, "zoom": 0.2},
        "training": {"seed": 4, "batch_size": 16},
        "warm_start": phase(freeze="everything").model_dump(),
        "fine_tune": phase(epochs=2).model_dump(),
        "evaluation": {"resamples": 100, "seed": 5},
        "published": {"source": "nobody", "scores": {}},
    } | changes


def parameters(weights=None, **experiments):
    """Parameters with the films of `project`, weights and experiments."""
    return params.parse(
        {
            "profile": "test",
            "sources": {
                "films": {"kind": "phantom", "layout": "nih", "seed": 1, "patients": PATIENTS, "size": SIZE}
            },
            "datasets": {"films_32": {"source": "films", "size": SIZE}},
            "splits": {
                "squares": {
                    "source": "films",
                    "dataset": "films_32",
                    "labels": {"task": "binary", "positive": "Mass"},
                    "official_test": False,
                    "test": 0.3,
                    "validation": 0.3,
                    "balance": "largest",
                    "seed": 3,
                }
            },
            "weights": {"none": {"kind": "none"}} | (weights or {}),
            "experiments": experiments,
        },
        "params.yaml",
    )


def write_project():
    """Writes catalog, shards, split and weights of 50 patients with two films each into the current folder."""
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
    catalog.write(rows, nih.VOCABULARY, layout.catalog("films"))
    write_shards(layout.shards("films_32"), ids, films(positive))
    split.build(parameters(), "squares")
    acquire.make(parameters(), "none")


def train(parameters, name):
    """Warm start, fine-tuning and predictions of an experiment, in the current folder; the rows it told of."""
    # Names that Keras numbers begin anew, as in the process of each stage.
    keras.utils.clear_session()
    warm_start(parameters, name)
    told = []
    keras.utils.clear_session()
    fine_tune(parameters, name, record(parameters, name), told.append)
    predict(parameters, name)
    return told


def hashes(folder):
    """SHA-256 of every file below a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


@pytest.fixture(scope="session")
def make():
    """What tests make: `make.films(...)`, `make.phase(...)` and the other functions above."""
    return SimpleNamespace(
        build=build,
        experiment=experiment,
        films=films,
        fold=fold,
        hashes=hashes,
        lesson=lesson,
        marked=marked,
        model=model,
        parameters=parameters,
        phase=phase,
        run=run,
        shards=write_shards,
        train=train,
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
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_project()
    return folder


@pytest.fixture
def project(data, tmp_path, monkeypatch):
    """A project with those data, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(data / "data")
    return tmp_path


@pytest.fixture(scope="session")
def vgg16():
    """An untrained VGG16 network for films of 32 x 32 pixels."""
    return build(backbone="vgg16", preprocess="imagenet", dense=(8,))


@pytest.fixture(scope="session")
def resnet50():
    """The same with ResNet50."""
    return build(backbone="resnet50", preprocess="imagenet")


@pytest.fixture(scope="session")
def resnet50_with_top():
    """ResNet50 with ImageNet's classification layers below one sigmoid a class, as the transfer system has it."""
    return build(task="multi_label", classes=1, backbone="resnet50", top=True, output_weights="random_uniform")


@pytest.fixture(scope="session")
def inceptionv3():
    """An untrained InceptionV3 network for the smallest films it takes."""
    return build(75, backbone="inceptionv3", preprocess="imagenet")


@pytest.fixture(scope="session")
def compact_weights(tmp_path_factory):
    """A file with the weights of a compact backbone, and its SHA-256."""
    keras.utils.set_random_seed(9)
    path = tmp_path_factory.mktemp("weights") / "compact.weights.h5"
    backbones.standalone("compact").save_weights(path)
    return path, sha256_file(path)
