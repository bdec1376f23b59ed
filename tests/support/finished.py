"""An experiment as the stages before its evaluation leave it: by the writers they use, without TensorFlow."""

import json
import math
import zipfile

import numpy as np
import pandas as pd

from glassbox.artifacts import history, model, predictions, recipe, split
from glassbox.artifacts.split import FOLDS, LABEL, Statistics
from glassbox.params.experiments import PHASES, VARIANTS

MACHINE = {
    "architecture": "x86_64",
    "vendor": "AuthenticAMD",
    "family": "25",
    "vector_extensions": "avx avx2 fma",
    "caches": "L1 Data 32K, L2 Unified 512K",
    "threads": 2,
    "backend": "tensorflow",
    "onednn": True,
    "gpu": "none",
}
PACKAGES = {"keras": "3.15.1", "numpy": "2.4.0", "tensorflow": "2.21.0"}
#: Images of each fold, two of a patient.
IMAGES = {"train": 6, "validation": 2, "test": 24}


def write_split(name="squares", positive="Mass", first=0):
    """Writes the folds of a binary split; of a patient's two films one shows the finding.

    Args:
        name: Its key.
        positive: The finding.
        first: Number of the first film, an even one; the others follow.
    """
    folds = [fold for fold in FOLDS for _ in range(IMAGES[fold])]
    numbers = np.arange(first, first + len(folds))
    columns = {
        "image_id": [f"{number:08}_000.png" for number in numbers],
        "patient_id": [f"{number // 2:05}" for number in numbers],
        f"{LABEL}No Finding": numbers % 2,
        f"{LABEL}{positive}": 1 - numbers % 2,
        "fold": folds,
        "draws": [2 if fold == "train" else 1 for fold in folds],
        "source_sha256": [f"{number:064x}" for number in numbers],
        "pixels_sha256": [f"{number + 1000:064x}" for number in numbers],
    }
    split.write(name, pd.DataFrame(columns), Statistics(IMAGES["train"], 120.0, 50.0))


def epochs(warm_start=1, fine_tune=3):
    """The rows of a history: losses fall and accuracies rise."""
    phases = ["warm_start"] * warm_start + ["fine_tune"] * fine_tune
    return [
        {
            "epoch": epoch,
            "phase": phase,
            "loss": round(math.exp(-epoch / 3), 6),
            "accuracy": round(1 - math.exp(-epoch / 3) / 2, 6),
            "val_loss": round(math.exp(-epoch / 4), 6),
            "val_accuracy": round(1 - math.exp(-epoch / 4) / 2, 6),
            "val_roc_auc": round(1 - math.exp(-epoch / 4) / 3, 6),
            "learning_rate": 0.003,
        }
        for epoch, phase in enumerate(phases)
    ]


def origin(experiment, machine=MACHINE):
    """What its model is made from, as `training.lineage.origin` says it; its recipe and its split are on disk."""
    blocks = {name: recipe.phase(experiment, name).model_dump(mode="json") for name in PHASES}
    shared = ("split", "dataset", "weights", "model", "augmentation", "training")
    fine_tune = blocks["fine_tune"]
    hashes = split.training_hashes(fine_tune["split"])
    return model.made_from(
        {
            "experiment": experiment,
            "params": {name: fine_tune[name] for name in shared}
            | {name: block["phase"] for name, block in blocks.items()},
            "data": {**hashes, "weights_sha256": "0" * 64, "warm_start_sha256": "1" * 64},
            "code": {"fine_tune": "2" * 64, "warm_start": "3" * 64},
            "packages": PACKAGES,
            "machine": machine,
        }
    )


def train(experiment, made=None, rows=None, classes=2, weights=b"weights"):
    """Writes its model, its history and their record, which is given back.

    Args:
        experiment: Its key.
        made: As `origin` gives it.
        rows: As `epochs` gives them.
        classes: How many probabilities the model says it gives.
        weights: Bytes in their place, which nobody reads.
    """
    at = model.files(experiment)
    layers = [("InputLayer", {"batch_shape": [None, 32, 32]}), ("Dense", {"units": 7})]
    layers += [("Dense", {"units": classes}), ("Activation", {})]
    named = [{"class_name": name, "config": config} for name, config in layers]
    at.model.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(at.model, "w") as archive:
        for member, content in (
            ("config.json", json.dumps({"config": {"layers": named}})),
            ("model.weights.h5", weights),
        ):
            archive.writestr(zipfile.ZipInfo(member), content)
    history.write(epochs() if rows is None else rows, at.history)
    return model.write_lineage(experiment, "fine_tune", made or origin(experiment))


def predict(experiment, test=None, probabilities=None):
    """Writes predictions of the model on disk.

    Args:
        experiment: Its key.
        test: The rows of the test fold; those of its split by default.
        probabilities: variant -> float32 (N, C); right ones, more so on clean images, by default.
    """
    if test is None:
        test = split.shown(recipe.phase(experiment, "fine_tune").split, "test")
    if probabilities is None:
        labels = test[split.labels(test)].to_numpy(np.float64)
        noise = np.random.default_rng(3).normal(size=len(labels))
        probabilities = {}
        for variant, blur in zip(VARIANTS, (0.4, 0.9), strict=True):
            positive = 1 / (1 + np.exp(-2 * (labels[:, 1] - 0.5 + blur * noise)))
            probabilities[variant] = np.column_stack([1 - positive, positive]).astype(np.float32)
    predictions.write(experiment, test, probabilities, model.read_lineage(experiment).model_sha256)
