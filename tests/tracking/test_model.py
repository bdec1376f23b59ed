"""The model as MLflow holds it: the file that DVC holds, and what it takes to load it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import finished
import numpy as np
import pytest

from glassbox.artifacts import code, history, model, weights
from glassbox.artifacts import recipe as recipes
from glassbox.artifacts.code import Code
from glassbox.files import sha256_file
from glassbox.tracking.run import Run, mirror

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from glassbox.params.experiments import PhaseName

KEY = "compact"


@pytest.mark.parametrize(("classes", "backend"), [(2, "tensorflow"), (15, "jax")])
def test_a_model_says_what_it_takes_and_gives_and_what_loads_it(
    ready: Path, monkeypatch: pytest.MonkeyPatch, classes: int, backend: str
) -> None:
    import mlflow

    monkeypatch.setattr(finished, "PACKAGES", {"keras": "3.15.1", backend: "0.9"})
    finished.train(KEY, finished.origin(KEY, finished.MACHINE | {"backend": backend}), classes=classes)
    mirror(KEY)
    (description,) = (ready / "mlartifacts" / "models").rglob("MLmodel")
    logged = mlflow.models.Model.load(description)
    (images,), (probabilities,) = logged.signature.inputs.inputs, logged.signature.outputs.inputs
    assert (images.shape, probabilities.shape) == ((-1, 32, 32), (-1, classes))
    assert logged.flavors["keras"]["keras_backend"] == backend
    requirements = (description.parent / "requirements.txt").read_text().splitlines()
    assert sorted(requirements) == sorted(["keras==3.15.1", f"{backend}==0.9"])


def test_what_was_trained_is_loaded_from_its_run_byte_for_byte_and_predicts(
    ready: Path, recipe: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    import mlflow

    from glassbox.training import lineage

    def save(phase: PhaseName, made: dict[str, object]) -> model.Lineage:
        at = model.files(KEY, phase)
        at.model.parent.mkdir(parents=True, exist_ok=True)
        network.save(at.model)
        history.write(finished.epochs(), at.history)
        return model.write_lineage(KEY, phase, made)

    images = keras.Input((32, 32), dtype="uint8", name="images")
    flat = keras.layers.Rescaling(1 / 255)(keras.layers.Flatten()(images))
    network = keras.Model(images, keras.layers.Dense(2, activation="softmax")(flat))
    recipe(weights="none")
    weights.write("none", None)
    for phase in ("warm_start", "fine_tune"):
        code.write(phase, Code({}, {"keras": keras.__version__}))
    save("warm_start", lineage.origin(recipes.phase(KEY, "warm_start"), "warm_start"))
    with Run(origin := lineage.origin(recipes.phase(KEY, "fine_tune"), "fine_tune")) as run:
        save("fine_tune", origin)
        run.complete()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{ready}/mlflow.db")
    films = np.arange(3 * 32 * 32).reshape(3, 32, 32).astype(np.uint8)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.id}/model")
    np.testing.assert_array_equal(loaded.predict(films), network.predict(films, verbose=0))
    with pytest.raises(mlflow.exceptions.MlflowException):
        loaded.predict(films.astype(np.float32))
    assert isinstance(mlflow.keras.load_model(f"runs:/{run.id}/model"), keras.Model)
    uri = f"runs:/{run.id}/model/data/model.keras"
    downloaded = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(ready / "downloaded"))
    assert sha256_file(ready / "downloaded" / downloaded) == sha256_file(model.files(KEY).model)
