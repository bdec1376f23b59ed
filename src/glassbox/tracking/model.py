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

    from glassbox.tracking.store import Store

#: Name of the model in its run: `runs:/<run id>/model`.
NAME = "model"
#: Where `mlflow.keras` looks for the file.
_DATA, _FILE = "data", "model.keras"


def log_model(store: Store, run_id: str, lineage: Mapping[str, Any], path: Path, digest: str) -> bool:
    """Logs a `.keras` file as an artifact and as an MLflow model. Says whether the run did not have it.

    `mlflow.keras.log_model` would save the model anew, as other bytes, and take TensorFlow to do so. Here
    MLflow's model holds the very file, so that its SHA-256 proves what is registered.

    Args:
        store: The open store.
        run_id: The run.
        lineage: What the model is made from.
        path: The `.keras` file.
        digest: Its SHA-256.
    """
    from mlflow.entities import LoggedModelOutput

    client = store.client
    logged = client.search_logged_models([store.experiment_id], f"source_run_id = '{run_id}'")
    model = next((entry for entry in logged if entry.tags.get("glassbox.model_sha256") == digest), None)
    if model is not None and model.status == "READY" and _is_there(store, model.model_id, path):
        return False
    if model is None:
        model = client.create_logged_model(
            store.experiment_id,
            name=NAME,
            source_run_id=run_id,
            tags={"glassbox.model_sha256": digest, "glassbox.fingerprint": lineage["fingerprint"]},
            model_type="keras",
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.log_artifact(run_id, str(path))
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), model.model_id, run_id, lineage, path)
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    client.set_tag(run_id, "glassbox.model_sha256", digest)
    return True


def _is_there(store: Store, model_id: str, path: Path) -> bool:
    """Whether the file of a logged model is where the store says, and is not cut short."""
    held = {entry.path: entry.file_size for entry in store.client.list_logged_model_artifacts(model_id, _DATA)}
    return held.get(f"{_DATA}/{_FILE}") == path.stat().st_size


def _write(folder: Path, model_id: str, run_id: str, lineage: Mapping[str, Any], path: Path) -> None:
    """Writes the folder that `mlflow.keras.load_model` and `mlflow.pyfunc.load_model` read."""
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    packages, layers = lineage["packages"], _layers(path)
    description = Model(
        run_id=run_id,
        model_id=model_id,
        signature=ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *_image_shape(layers)))]),
            outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, _classes(layers)))]),
        ),
    )
    description.add_flavor(
        "keras",
        data=_DATA,
        keras_version=packages["keras"],
        keras_backend=lineage["machine"]["backend"],
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


def _layers(path: Path) -> list[dict[str, Any]]:
    """The layers of a `.keras` file from its inputs to its outputs, read without a backend."""
    with zipfile.ZipFile(path) as archive:
        layers: list[dict[str, Any]] = json.loads(archive.read("config.json"))["config"]["layers"]
    return layers


def _image_shape(layers: list[dict[str, Any]]) -> tuple[int, ...]:
    """Height and width of the images that a model takes."""
    first = next(layer for layer in layers if layer["class_name"] == "InputLayer")
    return tuple(first["config"]["batch_shape"][1:])


def _classes(layers: list[dict[str, Any]]) -> int:
    """How many probabilities it gives for an image: the units of its last dense layer."""
    last = next(layer for layer in reversed(layers) if layer["class_name"] == "Dense")
    return int(last["config"]["units"])
