"""The model in MLflow: the file that DVC holds, byte for byte, with what MLflow needs to load it."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.models import ModelSignature

    from glassbox.tracking.store import Store

#: Where `mlflow.keras` looks for the file.
_DATA, _FILE = "data", "model.keras"
#: Tag of MLflow's model, and of the run, with the SHA-256 of the file.
SHA256_TAG = "glassbox.model_sha256"
#: Tag of MLflow's model, and of the run, of which an erasure of patients removed files, with their names.
ERASED_TAG = "glassbox.erased"


def held(store: Store, run_id: str, folder: Path) -> list[Path]:
    """Every `.keras` file that MLflow holds as a model of a run, copied into folders of a folder."""
    from mlflow.artifacts import download_artifacts

    client, name = store.client, f"{_DATA}/{_FILE}"
    logged = client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
    return [
        Path(
            download_artifacts(
                artifact_uri=f"{model.artifact_location}/{name}",
                dst_path=str(folder / model.model_id),
                tracking_uri=client.tracking_uri,
            )
        )
        for model in logged
        if name in {entry.path for entry in client.list_logged_model_artifacts(model.model_id, _DATA)}
    ]


def log_model(store: Store, run_id: str, made: Mapping[str, Any], path: Path, digest: str) -> bool:
    """Logs a `.keras` file as an MLflow model. Says whether the run did not have it.

    `mlflow.keras.log_model` would save the model anew, as other bytes, and take TensorFlow to do so. Here
    MLflow's model holds the very file, so that its SHA-256 proves what is registered.
    """
    from mlflow.entities import LoggedModelOutput

    client = store.client
    logged = client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
    model = next((entry for entry in logged if entry.tags.get(SHA256_TAG) == digest), None)
    if model is not None and model.status == "READY":
        there = client.list_logged_model_artifacts(model.model_id, _DATA)
        # Lost files, and files cut short, are logged again.
        if (f"{_DATA}/{_FILE}", path.stat().st_size) in {(entry.path, entry.file_size) for entry in there}:
            return False
    if model is None:
        model = client.create_logged_model(
            store.experiment_id,
            name="model",  # so that it is `runs:/<run id>/model`
            source_run_id=run_id,
            tags={SHA256_TAG: digest, "glassbox.fingerprint": made["fingerprint"]},
            model_type="keras",
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), model.model_id, run_id, made, path)
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    client.set_tag(run_id, SHA256_TAG, digest)
    return True


def _write(folder: Path, model_id: str, run_id: str, made: Mapping[str, Any], path: Path) -> None:
    """Writes the folder that `mlflow.keras.load_model` and `mlflow.pyfunc.load_model` read."""
    import mlflow.pyfunc
    from mlflow.models import Model

    packages = made["packages"]
    description = Model(run_id=run_id, model_id=model_id, signature=_signature(path))
    description.add_flavor(
        "keras",
        data=_DATA,
        keras_version=packages["keras"],
        keras_backend=made["machine"]["backend"],
        save_exported_model=False,
    )
    mlflow.pyfunc.add_to_model(description, loader_module="mlflow.keras", python_env="python_env.yaml")
    (folder / _DATA).mkdir()
    shutil.copyfile(path, folder / _DATA / _FILE)
    (folder / _DATA / "keras_module.txt").write_text("keras")
    description.model_size_bytes = path.stat().st_size
    description.save(str(folder / "MLmodel"))
    requirements = [f"{name}=={version}" for name, version in sorted(packages.items())]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")
    (folder / "python_env.yaml").write_text(
        yaml.safe_dump({"python": platform.python_version(), "dependencies": ["-r requirements.txt"]})
    )


def _signature(path: Path) -> ModelSignature:
    """Which images a `.keras` file takes and how many probabilities it gives, read without a backend."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
    images = next(layer["config"] for layer in layers if layer["class_name"] == "InputLayer")
    output = next(layer["config"] for layer in reversed(layers) if layer["class_name"] == "Dense")
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *images["batch_shape"][1:]))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, output["units"]))]),
    )
