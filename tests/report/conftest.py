"""Two experiments that have been evaluated, in a project of their own."""

import base64
import json
from types import SimpleNamespace

import pytest

from glassbox import layout, params

#: A picture of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTuFhwAAAABJRU5ErkJggg=="
)


def experiment(**changes):
    """The parameters of one experiment."""
    phase = {
        "epochs": 4,
        "freeze": "everything",
        "optimizer": {"name": "adam", "learning_rate": 0.001},
        "loss": "categorical_crossentropy",
    }
    return {
        "title": "A compact network",
        "dataset": "films-64",
        "split": "infiltration",
        "weights": "pretrained",
        "model": {"backbone": "compact", "normalise": "minmax"},
        "augmentation": {"rotation": 5.0},
        "training": {"seed": 1, "batch_size": 8},
        "warm_start": phase,
        "fine_tune": phase | {"freeze": {"first": 10}, "early_stopping": {"patience": 3}},
        "evaluation": {"resamples": 200, "seed": 5},
        "published": {"source": "nobody", "scores": {}},
    } | changes


SPLIT = {
    "source": "films",
    "dataset": "films-64",
    "labels": {"task": "binary", "positive": "Infiltration"},
    "official_test": True,
    "validation": 0.1,
    "balance": "none",
    "seed": 3,
}


def parameters(sources=None, splits=None, **experiments):
    """Parameters of generated films, of one clean binary split and more, with these experiments."""
    films = {"kind": "phantom", "layout": "nih", "seed": 1, "patients": 50, "size": 64}
    pretraining = {"epochs": 2, "batch_size": 8, "learning_rate": 0.001, "seed": 1}
    return params.parse(
        {
            "profile": "test",
            "sources": sources or {"films": films},
            "datasets": {"films-64": {"source": "films", "size": 64}},
            "splits": {"infiltration": SPLIT} | {key: SPLIT | changes for key, changes in (splits or {}).items()},
            "weights": {
                "none": {"kind": "none"},
                "pretrained": {
                    "kind": "pretraining",
                    "backbone": "compact",
                    "films": films | {"first_patient": 101},
                    "size": 64,
                    **pretraining,
                },
            },
            "experiments": experiments,
        },
        "params.yaml",
    )


def scores(roc_auc=0.8, **changes):
    """The scores of one variant, as `scores.json` holds them."""
    of_class = {
        "precision": 0.7,
        "recall": 0.75,
        "f1": 0.724138,
        "support": 100,
        "prevalence": 0.5,
        "roc_auc": 0.8,
    }
    return {
        "roc_auc": roc_auc,
        "roc_auc_low": round(roc_auc - 0.05, 6),
        "roc_auc_high": round(roc_auc + 0.05, 6),
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
        "classes": {"No Finding": of_class, "Infiltration": of_class},
    } | changes


def split(name, **shared):
    """Writes `metrics/splits/<name>/leakage.json`; `train_test={"patients": 3}` is what two folds share."""
    path = layout.METRICS / "splits" / name / "leakage.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = ("train_validation", "train_test", "validation_test")
    path.write_text(
        json.dumps(
            [
                {"folds": pair.replace("_", "-"), "what": what, "shared": shared.get(pair, {}).get(what, 0)}
                for what in ("patients", "images", "identical_files")
                for pair in pairs
            ]
        )
    )


def evaluated(key, clean=0.8, augmented=0.7, **changes):
    """Writes `metrics/<key>/` as evaluate does."""
    folder = layout.metrics(key)
    folder.mkdir(parents=True)
    variants = {"test_clean": scores(clean, **changes), "test_augmented": scores(augmented, **changes)}
    (folder / "scores.json").write_text(json.dumps(variants))
    for figure in ("roc", "confusion", "curves"):
        (folder / f"{figure}.png").write_bytes(PIXEL)


@pytest.fixture
def make():
    """What tests make: `make.parameters(...)` and the other functions above."""
    return SimpleNamespace(
        evaluated=evaluated, experiment=experiment, parameters=parameters, pixel=PIXEL, split=split
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which the experiments `vgg` and `resnet` have been evaluated; returns their parameters."""
    monkeypatch.chdir(tmp_path)
    split("infiltration")
    evaluated("vgg", clean=0.8, augmented=0.7)
    evaluated("resnet", clean=0.9, augmented=0.85)
    published = {"test_clean": {"roc_auc": 0.76, "accuracy": 0.9}, "test_augmented": {"roc_auc": 0.6}}
    return parameters(
        vgg=experiment(title="A <VGG> & more", published={"source": "an article", "scores": published}),
        resnet=experiment(
            title="A residual network",
            training={"seed": 1, "batch_size": 64},
            published={"source": "a report", "scores": {"test_clean": {"loss": 2.43, "specificity": 0.61}}},
        ),
    )
