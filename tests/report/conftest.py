"""Experiments that have been evaluated, with scores of our choice, in a project of their own."""

import base64
import contextlib
from types import SimpleNamespace

import builders
import finished
import pytest

from glassbox.artifacts import evaluation, leaks
from glassbox.artifacts.evaluation import VariantScores
from glassbox.artifacts.leaks import Leak
from glassbox.params.experiments import VARIANTS
from glassbox.report.comparison import compare
from glassbox.report.results import FIGURES

#: A picture of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTuFhwAAAABJRU5ErkJggg=="
)
#: Weights of the network that experiments have.
PRETRAINED = {
    "kind": "pretraining",
    "backbone": "compact",
    "films": {
        "kind": "phantom",
        "layout": "nih",
        "seed": 2,
        "patients": 50,
        "size": 64,
        "first_patient": 101,
    },
    "size": 64,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.001,
    "seed": 1,
}


def experiment(**changes):
    """The block of an experiment whose weights are not random, so that a frozen backbone stays frozen."""
    return builders.experiment(**{"weights": "pretrained"} | changes)


def parameters(experiments, **changes):
    """The values of a params.yaml with these experiments; `changes` are those of `builders.document`."""
    changes = {"weights": {"pretrained": PRETRAINED}} | changes
    return builders.document(**changes, experiments=experiments)


def measured(roc_auc=0.8, **changes):
    """The scores of one variant."""
    of_class = {
        "precision": 0.7,
        "recall": 0.75,
        "f1": 0.724138,
        "support": 100,
        "prevalence": 0.5,
        "roc_auc": 0.8,
    }
    numbers = {
        "roc_auc": roc_auc,
        "roc_auc_low": roc_auc - 0.05,
        "roc_auc_high": roc_auc + 0.05,
        "average_precision": 0.77,
        "accuracy": 0.72,
        "accuracy_low": 0.66,
        "accuracy_high": 0.78,
        "majority_accuracy": 0.5,
        "accuracy_minus_majority": 0.22,
        "loss": 1.234567,
        "prevalence": 0.5,
        "images": 200,
        "patients": 90,
        "resamples_redrawn": 0,
        "classes": {"No Finding": of_class, "Mass": of_class},
    }
    return VariantScores.model_validate(numbers | changes)


def evaluated(key, clean=0.8, augmented=0.7, trained_on=finished.MACHINE, **changes):
    """Writes what an evaluation of an experiment leaves, as far as reports read it."""
    folder = evaluation.folder(key)
    areas = zip(VARIANTS, (clean, augmented), strict=True)
    evaluation.write_scores(key, {variant: measured(area, **changes) for variant, area in areas})
    evaluation.write_machine(key, trained_on)
    for figure in FIGURES:
        (folder / f"{figure}.png").write_bytes(PIXEL)
    evaluation.write(key, "0" * 64, [path.name for path in folder.iterdir()])


def split(name, **shared):
    """Writes what the folds of a split share: `train_test={"patients": 3}`."""
    pairs = ("train_validation", "train_test", "validation_test")
    counted = [
        Leak(folds=pair.replace("_", "-"), what=what, shared=shared.get(pair, {}).get(what, 0))
        for what in ("patients", "images", "identical_files")
        for pair in pairs
    ]
    leaks.write(name, leaks.folder(name), counted)


@pytest.fixture
def make():
    """What tests make: `make.experiment(...)` and the other functions above."""
    return SimpleNamespace(
        evaluated=evaluated,
        experiment=experiment,
        measured=measured,
        parameters=parameters,
        pixel=PIXEL,
        split=split,
    )


def two_experiments():
    """Writes what the evaluations of `vgg` and `resnet` leave; the values of their params.yaml."""
    split("squares")
    evaluated("vgg", clean=0.8, augmented=0.7)
    evaluated("resnet", clean=0.9, augmented=0.85)
    published = {"test_clean": {"roc_auc": 0.76, "accuracy": 0.9}, "test_augmented": {"roc_auc": 0.6}}
    return parameters(
        {
            "vgg": experiment(title="A <VGG> & more", published={"source": "an article", "scores": published}),
            "resnet": experiment(
                title="A residual network",
                training={"seed": 4, "batch_size": 64},
                published={"source": "a report", "scores": {"test_clean": {"loss": 2.43, "specificity": 0.61}}},
            ),
        }
    )


@pytest.fixture
def values(tmp_path, monkeypatch):
    """Parameters in a folder with what they imply, but for the recipes, so that tests may change them."""
    monkeypatch.chdir(tmp_path)
    return two_experiments()


@pytest.fixture
def project(values):
    """The same with recipes, parsed."""
    return builders.resolve(values)


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    """A folder in which they have been compared; nobody writes there."""
    with contextlib.chdir(folder := tmp_path_factory.mktemp("compared")):
        compare(builders.resolve(two_experiments()))
    return folder
