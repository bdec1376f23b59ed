"""A project whose outputs are on disk, as the other stages leave them, with a store of its own."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from glassbox.files import fingerprint, sha256_file
from glassbox.params import Experiment, NoWeights, Params, Phase, Published

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 16
PHASE = {
    "epochs": 1,
    "freeze": "everything",
    "optimizer": {"name": "adam", "learning_rate": 0.001},
    "loss": "categorical_crossentropy",
}
EXPERIMENT = {
    "dataset": "phantom-16",
    "split": "infiltration",
    "weights": "phantom",
    "model": {"backbone": "compact", "normalise": "minmax", "dense": [32, 16]},
    "augmentation": {"horizontal_flip": True},
    "training": {"seed": 1, "batch_size": 32},
    "warm_start": PHASE,
    "fine_tune": {**PHASE, "epochs": 3, "freeze": "nothing"},
}
PUBLISHED = Published(source="A paper", scores={"test_clean": {"roc_auc": 0.7}})
SCORES = {
    "test_clean": {
        "roc_auc": 0.93,
        "roc_auc_low": 0.9,
        "accuracy": 0.85,
        "classes": {"No Finding": {"precision": 0.8}, "Pleural (Thickening)": {"precision": 0.7, "roc_auc": None}},
    },
    "test_augmented": {"roc_auc": 0.91, "confusion": [[1, 2], [3, 4]]},
}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c626001000000ffff03000006000557bfabd40000000049454e44ae426082"
)


@dataclass
class Project:
    """The outputs of one experiment, under the working directory."""

    keras_file: Path
    root: Path
    name: str = "infiltration_compact"
    title: str = "Infiltration against everything else"
    departures: tuple[str, ...] = ()
    backend: str = "tensorflow"
    block: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(EXPERIMENT)))

    @property
    def params(self) -> Params:
        """What tracking reads of them: the profile, titles and departures."""
        experiment = Experiment.model_construct(
            title=self.title,
            published=PUBLISHED,
            departures=self.departures,
            weights=self.block["weights"],
            warm_start=Phase(**self.block["warm_start"]),
            fine_tune=Phase(**self.block["fine_tune"]),
        )
        weights = {"none": NoWeights(kind="none"), "phantom": None}
        return Params.model_construct(profile="demo", experiments={self.name: experiment}, weights=weights)

    @property
    def lineage(self) -> dict[str, Any]:
        """What fine_tune knows before it trains."""
        lineage = {
            "params": self.block,
            "data": {
                key: fingerprint(key)
                for key in (
                    "archive_sha256",
                    "catalog_sha256",
                    "shards_sha256",
                    "split_sha256",
                    "statistics_sha256",
                    "weights_sha256",
                )
            },
            "packages": {self.backend: "2.21.0", "keras": "3.15.1", "numpy": "2.3.0"},
        }
        split = self.root / "data/splits/infiltration/split.parquet"
        if split.is_file():
            lineage["data"]["split_sha256"] = sha256_file(split)
        return {
            "experiment": self.name,
            "fingerprint": fingerprint(lineage),
            **lineage,
            "machine": {"cores": 2, "onednn": True, "cpu": "a processor", "backend": self.backend},
        }

    @property
    def history(self) -> list[dict[str, float | int | str]]:
        """Four epochs through both phases."""
        return [
            {
                "epoch": epoch,
                "phase": "warm_start" if epoch == 0 else "fine_tune",
                "loss": math.exp(-epoch / 3),
                "accuracy": 1 - math.exp(-epoch / 3) / 2,
                "val_loss": math.exp(-epoch / 4),
                "val_accuracy": 1 - math.exp(-epoch / 4) / 2,
                "val_roc_auc": 1 - math.exp(-epoch / 4) / 3,
                "learning_rate": 0.001,
            }
            for epoch in range(4)
        ]

    def write_split(self) -> None:
        folder = self.root / "data/splits/infiltration"
        folder.mkdir(parents=True, exist_ok=True)
        folds = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
        pd.DataFrame(
            {
                "image_id": [f"{row:08}_000.png" for row in range(10)],
                "patient_id": [f"{row // 2}" for row in range(10)],
                "label_No Finding": [row % 2 for row in range(10)],
                "label_Infiltration": [1 - row % 2 for row in range(10)],
                "fold": folds,
                "draws": [2] * 6 + [1] * 4,
            }
        ).to_parquet(folder / "split.parquet")

    def write_model(self) -> None:
        folder = self.root / "models" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.keras").write_bytes(self.keras_file.read_bytes())

    def write_history(self) -> None:
        folder = self.root / "models" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "history.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)
        lineage = self.lineage | {"model_sha256": sha256_file(folder / "model.keras")}
        (folder / "lineage.json").write_text(json.dumps(lineage))

    def write_evaluation(self, scores: dict[str, Any] | None = None) -> None:
        metrics, predictions = self.root / "metrics" / self.name, self.root / "predictions" / self.name
        metrics.mkdir(parents=True, exist_ok=True)
        predictions.mkdir(parents=True, exist_ok=True)
        (metrics / "scores.json").write_text(json.dumps(scores or SCORES))
        (metrics / "roc.png").write_bytes(PNG)
        (metrics / "roc.csv").write_text("variant,threshold\n")
        pd.DataFrame({"image_id": ["00000008_000.png"], "probability_Infiltration": [0.5]}).to_parquet(
            predictions / "test_clean.parquet"
        )

    def write_all(self) -> None:
        self.write_split()
        self.write_model()
        self.write_history()
        self.write_evaluation()


def save_model(path: Path, classes: int = 2, activation: str = "softmax") -> Path:
    """Saves a real model with the inputs and outputs of ours."""
    import keras

    images = keras.Input((SIZE, SIZE), dtype="uint8", name="images")
    features = keras.layers.Rescaling(1 / 255)(keras.layers.Reshape((SIZE, SIZE, 1))(images))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(features))
    features = keras.layers.Dense(7, activation="relu")(features)
    keras.Model(images, keras.layers.Dense(classes, activation=activation, dtype="float32")(features)).save(path)
    return path


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two classes."""
    return save_model(tmp_path_factory.mktemp("model") / "model.keras")


@pytest.fixture(scope="session")
def fifteen_sigmoids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of fifteen classes, each asked for alone."""
    return save_model(tmp_path_factory.mktemp("model") / "model.keras", classes=15, activation="sigmoid")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them; making them takes a second."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def bare_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keras_file: Path) -> Project:
    """A project in an empty folder, which is the working directory; nothing is on disk yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Project(keras_file, tmp_path)


@pytest.fixture
def project(bare_project: Project, empty_database: Path) -> Project:
    """A project in a folder that holds nothing but an empty database."""
    shutil.copyfile(empty_database, bare_project.root / "mlflow.db")
    return bare_project
