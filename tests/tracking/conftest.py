"""An experiment whose outputs are on disk, as the stages leave them, with a store of its own."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import builders
import finished
import pytest

from glassbox.evaluation.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "compact"
#: A class whose name MLflow does not take.
POSITIVE = "Pleural (Thickening)"
PUBLISHED = {"source": "A paper", "scores": {"test_clean": {"roc_auc": 0.7}}}


def write_recipe(**changes: Any) -> None:
    """Writes params.yaml and the recipe of the one experiment, with other blocks."""
    block = {"title": "Thickening against nothing", "weights": "given", "published": PUBLISHED} | changes
    given = {"kind": "file", "backbone": "compact", "path": "given.weights.h5", "sha256": "0" * 64}
    labels = {"task": "binary", "positive": POSITIVE}
    experiments = {KEY: builders.experiment(**block)}
    builders.resolve(builders.document(labels=labels, weights={"given": given}, experiments=experiments))


@pytest.fixture
def recipe() -> Callable[..., None]:
    """Writes the experiment's recipe anew: `recipe(training={...})`."""
    return write_recipe


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them; making them takes a second."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of an experiment from its split to its evaluation; nobody writes here."""
    with contextlib.chdir(folder := tmp_path_factory.mktemp("finished")):
        write_recipe()
        finished.write_split(positive=POSITIVE)
        finished.train(KEY)
        finished.predict(KEY)
        evaluate(KEY)
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory, and MLflow's default store in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def project(empty: Path, database: Path) -> Path:
    """A folder that holds nothing but an empty database."""
    shutil.copyfile(database, empty / "mlflow.db")
    return empty


@pytest.fixture
def done(project: Path, finished_once: Path) -> Path:
    """A project whose outputs are all on disk, and an empty database."""
    return shutil.copytree(finished_once, project, dirs_exist_ok=True)


@pytest.fixture
def ready(done: Path) -> Path:
    """A project that is about to train: recipe and split are there."""
    for folder in ("models", "predictions", "metrics", "data/evaluations"):
        shutil.rmtree(done / folder)
    return done
