"""Predictions of every task, and experiments that are ready to be evaluated."""

import contextlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import builders
import finished
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from glassbox.artifacts.split import LABEL
from glassbox.evaluation.evaluate import evaluate
from glassbox.evaluation.intervals import bootstrap
from glassbox.evaluation.predictions import Predictions
from glassbox.evaluation.scores import score
from glassbox.params.experiments import VARIANTS, Evaluation

CLASSES = ("No Finding", "Infiltration")
#: The absence of findings, then the findings, of which no image has the last.
MANY = ("No Finding", "Infiltration", "Effusion", "Mass", "Nodule", "Pleural_Thickening", "Hernia")
TASKS = {
    "binary": {"task": "binary", "positive": "Infiltration"},
    "single_label": {"task": "single_label", "several": "first"},
    "multi_label": {"task": "multi_label"},
}


def evaluation(**changes):
    """How intervals are drawn."""
    return Evaluation(**{"resamples": 200, "seed": 5} | changes)


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


def variants_of(task, **options):
    """Predictions of a task for either variant, and what is measured of them."""
    variants = {variant: of_task(task, seed=seed, **options) for seed, variant in enumerate(VARIANTS)}
    return variants, {name: score(each, bootstrap(each, evaluation())) for name, each in variants.items()}


def fold(predictions):
    """The rows of the test fold that these are the predictions of, as `split.shown` gives them."""
    columns = {"image_id": predictions.images, "patient_id": [f"{each:05d}" for each in predictions.patients]}
    labels = zip(predictions.classes, predictions.labels.T.astype(np.uint8), strict=True)
    return pd.DataFrame(columns | {LABEL + name: column for name, column in labels})


def predict(task, order=slice(None)):
    """Writes predictions of `compact` for a task, in an order of the images; clean ones are better."""
    of = {variant: of_task(task, signal=signal) for variant, signal in zip(VARIANTS, (2.0, 1.0), strict=True)}
    probabilities = {variant: predictions.probabilities[order] for variant, predictions in of.items()}
    finished.predict("compact", fold(of["test_clean"]).iloc[order], probabilities)


def prepare(task="binary"):
    """Writes all that an evaluation of the experiment `compact` reads."""
    loss = "binary_crossentropy" if task == "multi_label" else "categorical_crossentropy"
    phases = {name: builders.phase(loss=loss) for name in ("warm_start", "fine_tune")}
    compact = builders.experiment(**phases, evaluation={"resamples": 200, "seed": 5})
    asked = {"labels": TASKS[task], "split": {"balance": "none"}}
    builders.resolve(builders.document(**asked, experiments={"compact": compact}))
    finished.write_split()
    finished.train("compact")
    predict(task)


@pytest.fixture
def make():
    """What tests make: `make.predicted(...)` and the other functions above."""
    return SimpleNamespace(
        binary=binary,
        evaluation=evaluation,
        fold=fold,
        many=MANY,
        of_task=of_task,
        predict=predict,
        predicted=predicted,
        prepare=prepare,
        variants_of=variants_of,
    )


@pytest.fixture
def figures(monkeypatch):
    """Figures as they are when they are written; nothing is rendered."""
    written = []

    def savefig(self, path, **_):
        written.append(self)
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", savefig)
    return written


@pytest.fixture(scope="session")
def evaluated_once(tmp_path_factory):
    """A project in which a binary experiment has been evaluated; nobody writes here."""
    folder = tmp_path_factory.mktemp("evaluated") / "project"
    folder.mkdir()
    with contextlib.chdir(folder):
        prepare()
        evaluate("compact")
    return folder


@pytest.fixture
def evaluated(evaluated_once, monkeypatch):
    """The project of `evaluated_once`, to read in."""
    monkeypatch.chdir(evaluated_once)
    return evaluated_once


@pytest.fixture
def project(evaluated_once, tmp_path, monkeypatch):
    """A project in which the experiment `compact`, a binary one, is ready to be evaluated."""
    kept = ("metrics", "evaluations")
    copy = shutil.copytree(
        evaluated_once, tmp_path / "project", ignore=lambda _, entries: set(entries).intersection(kept)
    )
    monkeypatch.chdir(copy)
    return copy
