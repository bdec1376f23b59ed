"""An experiment that has been trained and has predicted, in a project of its own."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox import layout, params
from glassbox.assessment.predictions import Predictions

CLASSES = ("No Finding", "Infiltration")
HISTORY = """\
epoch,phase,loss,accuracy,val_loss,val_accuracy,val_roc_auc,learning_rate
0,warm_start,0.70,0.52,0.69,0.55,0.60,0.001
1,fine_tune,0.61,0.66,0.64,0.62,0.68,0.0001
2,fine_tune,0.55,0.71,0.62,0.65,0.70,0.0001
"""


def experiment(**changes):
    """The parameters of one experiment."""
    phase = {
        "epochs": 1,
        "freeze": "backbone",
        "optimizer": {"name": "adam", "learning_rate": 0.001},
        "loss": "categorical_crossentropy",
    }
    return {
        "title": "A compact network",
        "dataset": "films-64",
        "split": "infiltration",
        "weights": "none",
        "model": {"backbone": "compact", "normalise": "minmax"},
        "augmentation": {"horizontal_flip": True},
        "training": {"seed": 1, "batch_size": 8},
        "warm_start": phase,
        "fine_tune": phase,
        "evaluation": {"resamples": 200, "seed": 5},
        "published": {"source": "nobody", "scores": {}},
    } | changes


def evaluation(**changes):
    """How intervals are drawn."""
    return params.Evaluation(**{"resamples": 200, "seed": 5} | changes)


def predicted(images=300, patients=60, signal=1.0, seed=0, digits=2):
    """Predictions in which positives score `signal` higher than negatives, in standard deviations.

    Scores have few digits, so that there are ties, and the films of a patient resemble each other.
    """
    generator = np.random.default_rng(seed)
    belongs = np.concatenate([np.arange(patients), generator.integers(patients, size=images - patients)])
    sick = generator.random(patients) < 0.4
    positive = np.where(generator.random(images) < 0.8, sick[belongs], generator.random(images) < 0.4)
    noise = generator.normal(size=patients)[belongs] + generator.normal(size=images)
    score = (1 / (1 + np.exp(-(noise + signal * (positive - 0.5))))).round(digits).astype(np.float32)
    return Predictions(
        classes=CLASSES,
        images=np.array([f"{image:08d}_000.png" for image in range(images)]),
        patients=belongs,
        truth=positive.astype(np.int64),
        probabilities=np.column_stack([1 - score, score]),
    )


def columns(predictions):
    """The columns of the Parquet file that holds these predictions."""
    named = {
        "image_id": predictions.images,
        "patient_id": np.array([f"{patient:05d}" for patient in predictions.patients]),
    }
    for position, name in enumerate(predictions.classes):
        named[f"label_{name}"] = (predictions.truth == position).astype(np.uint8)
    for position, name in enumerate(predictions.classes):
        named[f"probability_{name}"] = predictions.probabilities[:, position]
    return named


def write(path, named):
    """Writes columns as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(named), path)


def contents(folder: Path) -> dict[str, bytes]:
    """Name and bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def make(parameters):
    """What tests make: `make.predicted(...)`, `make.parameters(...)` and the other functions above."""
    return SimpleNamespace(
        columns=columns,
        contents=contents,
        evaluation=evaluation,
        experiment=experiment,
        parameters=parameters,
        predicted=predicted,
        write=write,
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which the experiment `compact` is ready to be evaluated."""
    monkeypatch.chdir(tmp_path)
    for signal, variant in ((2.0, "test_clean"), (1.0, "test_augmented")):
        write(layout.predictions("compact") / f"{variant}.parquet", columns(predicted(signal=signal)))
    layout.models("compact").mkdir(parents=True)
    (layout.models("compact") / "history.csv").write_text(HISTORY)
    return tmp_path
