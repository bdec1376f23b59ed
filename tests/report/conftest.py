"""Two experiments that have been evaluated, in a project of their own."""

import base64
import json
from types import SimpleNamespace

import pytest

from glassbox import layout

#: A picture of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTuFhwAAAABJRU5ErkJggg=="
)


def experiment(**changes):
    """The parameters of one experiment."""
    phase = {
        "epochs": 4,
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
        "augmentation": {"rotation": 5.0},
        "training": {"seed": 1, "batch_size": 8},
        "warm_start": phase,
        "fine_tune": phase | {"freeze": {"first": 10}, "early_stopping": {"patience": 3}},
        "evaluation": {"resamples": 200, "seed": 5},
        "published": {"source": "nobody", "scores": {}},
    } | changes


def scores(roc_auc=0.8, **changes):
    """The scores of one variant, as `scores.json` holds them."""
    of_class = {"precision": 0.7, "recall": 0.75, "f1": 0.724138, "support": 100}
    return {
        "roc_auc": roc_auc,
        "roc_auc_low": round(roc_auc - 0.05, 6),
        "roc_auc_high": round(roc_auc + 0.05, 6),
        "average_precision": 0.77,
        "accuracy": 0.72,
        "accuracy_low": 0.66,
        "accuracy_high": 0.78,
        "majority_accuracy": 0.5,
        "prevalence": 0.5,
        "images": 200,
        "patients": 90,
        "resamples_redrawn": 0,
        "classes": {"No Finding": of_class, "Infiltration": of_class},
    } | changes


def evaluated(key, clean=0.8, augmented=0.7):
    """Writes `metrics/<key>/` as evaluate does."""
    folder = layout.metrics(key)
    folder.mkdir(parents=True)
    variants = {"test_clean": scores(clean), "test_augmented": scores(augmented)}
    (folder / "scores.json").write_text(json.dumps(variants))
    for figure in ("roc", "confusion", "curves"):
        (folder / f"{figure}.png").write_bytes(PIXEL)


@pytest.fixture
def make(parameters):
    """What tests make: `make.parameters(...)` and the other functions above."""
    return SimpleNamespace(evaluated=evaluated, experiment=experiment, parameters=parameters, pixel=PIXEL)


@pytest.fixture
def project(tmp_path, monkeypatch, parameters):
    """A project in which the experiments `vgg` and `resnet` have been evaluated; returns their parameters."""
    monkeypatch.chdir(tmp_path)
    evaluated("vgg", clean=0.8, augmented=0.7)
    evaluated("resnet", clean=0.9, augmented=0.85)
    published = {"test_clean": {"roc_auc": 0.76, "accuracy": 0.9}, "test_augmented": {"roc_auc": 0.6}}
    return parameters(
        vgg=experiment(title="A <VGG> & more", published={"source": "an article", "scores": published}),
        resnet=experiment(
            title="A residual network",
            training={"seed": 1, "batch_size": 64},
            published={"source": "a report", "scores": {"test_clean": {"loss": 2.43}}},
        ),
    )
