"""An experiment that has been trained and has predicted, in a project of its own."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox import layout, params
from glassbox.assessment.predictions import Predictions
from glassbox.cohorts import nih

CLASSES = ("No Finding", "Infiltration")
#: NIH's fifteen: the absence of findings, then the findings.
MANY = (nih.VOCABULARY.absence, *nih.VOCABULARY.findings)
TASKS = {
    "binary": {"task": "binary", "positive": "Infiltration"},
    "single_label": {"task": "single_label", "several": "first"},
    "multi_label": {"task": "multi_label"},
}
HISTORY = """\
epoch,phase,loss,accuracy,val_loss,val_accuracy,val_roc_auc,learning_rate
0,warm_start,0.70,0.52,0.69,0.55,0.60,0.001
1,fine_tune,0.61,0.66,0.64,0.62,0.68,0.0001
2,fine_tune,0.55,0.71,0.62,0.65,0.70,0.0001
"""


def parameters(task="binary", **changes):
    """Parameters of one experiment, `compact`, whose split asks for `task`."""
    loss = "binary_crossentropy" if task == "multi_label" else "categorical_crossentropy"
    phase = {
        "epochs": 1,
        "freeze": "everything",
        "optimizer": {"name": "adam", "learning_rate": 0.001},
        "loss": loss,
    }
    experiment = {
        "title": "A compact network",
        "dataset": "films-64",
        "split": "findings",
        "weights": "none",
        "model": {"backbone": "compact", "normalise": "minmax"},
        "augmentation": {"horizontal_flip": True},
        "training": {"seed": 1, "batch_size": 8},
        "warm_start": phase,
        "fine_tune": phase,
        "evaluation": {"resamples": 200, "seed": 5},
        "published": {"source": "nobody", "scores": {}},
    }
    return params.parse(
        {
            "profile": "test",
            "sources": {"films": {"kind": "phantom", "layout": "nih", "seed": 1, "patients": 50, "size": 64}},
            "datasets": {"films-64": {"source": "films", "size": 64}},
            "splits": {
                "findings": {
                    "source": "films",
                    "dataset": "films-64",
                    "labels": TASKS[task],
                    "official_test": True,
                    "validation": 0.1,
                    "balance": "none",
                    "seed": 3,
                }
            },
            "weights": {"none": {"kind": "none"}},
            "experiments": {"compact": experiment | changes},
        },
        "params.yaml",
    )


def evaluation(**changes):
    """How intervals are drawn."""
    return params.Evaluation(**{"resamples": 200, "seed": 5} | changes)


def predicted(images=300, patients=60, signal=1.0, seed=0, digits=2):
    """Binary predictions in which positives score `signal` higher than negatives, in standard deviations.

    Scores have few digits, so that there are ties, and the films of a patient resemble each other.
    """
    generator = np.random.default_rng(seed)
    belongs = np.concatenate([np.arange(patients), generator.integers(patients, size=images - patients)])
    sick = generator.random(patients) < 0.4
    positive = np.where(generator.random(images) < 0.8, sick[belongs], generator.random(images) < 0.4)
    noise = generator.normal(size=patients)[belongs] + generator.normal(size=images)
    score = (1 / (1 + np.exp(-(noise + signal * (positive - 0.5))))).round(digits).astype(np.float32)
    return binary(positive, np.column_stack([1 - score, score]), belongs)


def predicted_many(task, images=600, patients=120, signal=1.0, seed=0):
    """Predictions over many classes, the later the rarer, in which a class scores higher where it is.

    The last class is that of no image.
    """
    generator = np.random.default_rng(seed)
    belongs = np.concatenate([np.arange(patients), generator.integers(patients, size=images - patients)])
    rarity = 1 / np.arange(1, len(MANY) + 1)
    rarity[-1] = 0
    if task == "single_label":
        truth = generator.choice(len(MANY), size=images, p=rarity / rarity.sum())
        labels = np.equal(truth[:, None], np.arange(len(MANY)))
    else:
        labels = generator.random((images, len(MANY))) < 0.6 * rarity
    logits = generator.normal(size=labels.shape) + signal * labels + np.log(rarity + 0.01)
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True) if task == "single_label" else odds / (1 + odds)
    return Predictions(task, MANY, names(images), belongs, labels, probabilities.round(3).astype(np.float32))


def of_task(task, **options):
    """Predictions of any task."""
    return predicted(**options) if task == "binary" else predicted_many(task, **options)


def binary(positive, probabilities, patients=None):
    """Binary predictions from what is positive and the probabilities of both classes; each image of a patient."""
    positive = np.asarray(positive, dtype=bool)
    return Predictions(
        task="binary",
        classes=CLASSES,
        images=names(len(positive)),
        patients=np.arange(len(positive)) if patients is None else patients,
        labels=np.column_stack([~positive, positive]),
        probabilities=np.asarray(probabilities, dtype=np.float32),
    )


def names(images):
    """Identifiers of so many images."""
    return np.array([f"{image:08d}_000.png" for image in range(images)])


def columns(predictions):
    """The columns of the Parquet file that holds these predictions."""
    named = {
        "image_id": predictions.images,
        "patient_id": np.array([f"{patient:05d}" for patient in predictions.patients]),
    }
    for position, name in enumerate(predictions.classes):
        named[f"label_{name}"] = predictions.labels[:, position].astype(np.uint8)
    for position, name in enumerate(predictions.classes):
        named[f"probability_{name}"] = predictions.probabilities[:, position]
    return named


def predict(task):
    """Writes the predictions of the experiment `compact` for a task, better ones of the clean variant."""
    for signal, variant in ((2.0, "test_clean"), (1.0, "test_augmented")):
        write(layout.predictions("compact") / f"{variant}.parquet", columns(of_task(task, signal=signal)))


def write(path, named):
    """Writes columns as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(named), path)


def contents(folder: Path) -> dict[str, bytes]:
    """Name and bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def make():
    """What tests make: `make.predicted(...)`, `make.parameters(...)` and the other functions above."""
    return SimpleNamespace(
        binary=binary,
        columns=columns,
        contents=contents,
        evaluation=evaluation,
        of_task=of_task,
        parameters=parameters,
        predict=predict,
        predicted=predicted,
        predicted_many=predicted_many,
        write=write,
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which the experiment `compact`, a binary one, is ready to be evaluated."""
    monkeypatch.chdir(tmp_path)
    predict("binary")
    layout.models("compact").mkdir(parents=True)
    (layout.models("compact") / "history.csv").write_text(HISTORY)
    return tmp_path
