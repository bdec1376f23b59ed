from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from glassbox.errors import TrackingError
from glassbox.files import sha256_file
from glassbox.tracking.mirror import log_evaluation, mirror
from glassbox.tracking.run import Run, training_run
from glassbox.tracking.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

NAME = "infiltration_compact"


@pytest.fixture
def done(project: Project) -> Project:
    """A project whose outputs are all on disk, and no store."""
    project.write_all()
    return project


def everything() -> dict[str, Any]:
    """What the store says: every run with its tags, parameters, points, folds, artifacts and models."""
    store = open_store()
    client = store.client
    return {
        run.info.run_id: {
            "status": run.info.status,
            "tags": run.data.tags,
            "params": run.data.params,
            "points": {
                name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
            "folds": sorted(entry.dataset.name for entry in run.inputs.dataset_inputs),
            "artifacts": sorted(
                entry.path
                for folder in (None, "metrics", "predictions")
                for entry in client.list_artifacts(run.info.run_id, folder)
                if not entry.is_dir
            ),
            "models": [
                (model.model_id, model.status)
                for model in client.search_logged_models(
                    [store.experiment_id], f"source_run_id = '{run.info.run_id}'"
                )
            ],
        }
        for run in client.search_runs([store.experiment_id])
    }


def complete(project: Project) -> tuple[str, dict[str, Any]]:
    """The one run of the store and what it says, which must be all there is to say."""
    ((run_id, run),) = everything().items()
    assert run["status"] == "FINISHED"
    assert [step for step, _ in run["points"]["val_loss"]] == [0, 1, 2, 3]
    assert run["points"]["test_clean_roc_auc"] == [(0, 0.93)]
    assert len(run["folds"]) == 3
    assert run["artifacts"] == [
        "history.csv",
        "lineage.json",
        "metrics/roc.csv",
        "metrics/roc.png",
        "metrics/scores.json",
        "model.keras",
        "predictions/test_clean.parquet",
    ]
    assert [status for _, status in run["models"]] == ["READY"]
    assert run["tags"]["glassbox.model_sha256"] == sha256_file(project.keras_file)
    return run_id, run


def write_lock(project: Project, *, predicted: str | None = None) -> dict[str, Any]:
    """dvc.lock as DVC writes it; `predicted` is the model that the scores are of, if not the one on disk."""
    model = project.root / "models" / NAME / "model.keras"
    md5 = hashlib.md5(model.read_bytes(), usedforsecurity=False).hexdigest()
    predictions = {"path": f"predictions/{NAME}", "hash": "md5", "md5": "b" * 32 + ".dir"}

    def entry(digest: str) -> dict[str, str]:
        return {"path": f"models/{NAME}/model.keras", "hash": "md5", "md5": digest}

    lock = {
        "schema": "2.0",
        "stages": {
            f"fine_tune@{NAME}": {"cmd": "python stages/fine_tune.py", "outs": [entry(md5)]},
            f"predict@{NAME}": {"deps": [entry(predicted or md5)], "outs": [predictions]},
            f"evaluate@{NAME}": {"deps": [predictions]},
        },
    }
    (project.root / "dvc.lock").write_text(yaml.safe_dump(lock))
    return lock


def test_an_empty_store_is_restored_and_a_second_mirror_changes_nothing(done: Project) -> None:
    lines = mirror(done.params)
    run_id, run = complete(done)
    assert lines == [f"{NAME}: restored run {run_id}"]
    assert run["tags"]["glassbox.restored"] == "true"
    before = everything()
    assert mirror(done.params) == [f"{NAME}: complete already"]
    assert everything() == before


def test_a_trained_and_evaluated_run_needs_no_mirror(project: Project) -> None:
    project.write_split()
    with training_run(project.params, NAME, project.lineage) as run:
        for row in project.history:
            run.log_epoch(row)
        project.write_model()
        run.log_model()
    project.write_history()
    project.write_evaluation()
    log_evaluation(project.params, NAME)
    run_id, content = complete(project)
    assert run_id == run.id
    assert "glassbox.restored" not in content["tags"]
    before = everything()
    log_evaluation(project.params, NAME)
    assert mirror(project.params) == [f"{NAME}: complete already"]
    assert everything() == before


def test_an_evaluation_without_a_run_restores_it(done: Project) -> None:
    log_evaluation(done.params, NAME)
    assert complete(done)[1]["tags"]["glassbox.restored"] == "true"


def test_a_killed_training_ends_complete(done: Project) -> None:
    store = open_store()
    run = Run(store, done.params, done.lineage)
    for row in done.history[:2]:
        run.log_epoch(row)
    store.client.create_logged_model(
        store.experiment_id,
        name="model",
        source_run_id=run.id,
        tags={"glassbox.model_sha256": sha256_file(done.keras_file)},
    )
    assert everything()[run.id]["status"] == "RUNNING"
    assert mirror(done.params) == [f"{NAME}: completed run {run.id}"]
    assert complete(done)[0] == run.id
    assert mirror(done.params) == [f"{NAME}: complete already"]


def test_half_a_run_with_other_numbers_is_not_completed_with_this_models(done: Project) -> None:
    run = Run(open_store(), done.params, done.lineage)
    run.log_epoch({**done.history[0], "val_loss": 9.0})
    (line,) = mirror(done.params)
    assert "restored" in line
    found = everything()
    assert len(found) == 2
    assert found[run.id]["points"]["val_loss"] == [(0, 9.0)]
    assert mirror(done.params) == [f"{NAME}: complete already"]


def test_lost_artifacts_come_back(done: Project) -> None:
    mirror(done.params)
    (figure,) = (done.root / "mlartifacts").rglob("roc.png")
    figure.unlink()
    run_id, _ = next(iter(everything().items()))
    assert mirror(done.params) == [f"{NAME}: completed run {run_id}"]
    complete(done)
    (logged,) = (done.root / "mlartifacts" / "models").iterdir()
    shutil.rmtree(logged)
    assert mirror(done.params) == [f"{NAME}: completed run {run_id}"]
    complete(done)
    assert mirror(done.params) == [f"{NAME}: complete already"]


def test_new_scores_of_the_same_model_are_logged(done: Project) -> None:
    mirror(done.params)
    done.write_evaluation({"test_clean": {"roc_auc": 0.5}})
    log_evaluation(done.params, NAME)
    store = open_store()
    (run,) = store.client.search_runs([store.experiment_id])
    assert run.data.metrics["test_clean_roc_auc"] == 0.5


def test_scores_keep_their_names_as_far_as_mlflow_takes_them(done: Project) -> None:
    mirror(done.params)
    _, run = complete(done)
    scores = {name for name in run["points"] if name.startswith("test_")}
    assert scores == {
        "test_clean_roc_auc",
        "test_clean_roc_auc_low",
        "test_clean_accuracy",
        "test_clean_classes_No_Finding_precision",
        "test_clean_classes_Pleural_Thickening_precision",
        "test_augmented_roc_auc",
    }


def test_scores_of_an_older_model_are_not_logged_as_this_ones(done: Project) -> None:
    write_lock(done, predicted="a" * 32)
    (line,) = mirror(done.params)
    assert "another model" in line
    ((_, run),) = everything().items()
    assert "test_clean_roc_auc" not in run["points"]
    assert not any(path.startswith(("metrics", "predictions")) for path in run["artifacts"])


def test_a_run_leads_to_the_revision_that_holds_its_model(done: Project) -> None:
    lock = write_lock(done)
    mirror(done.params)
    tags = complete(done)[1]["tags"]
    assert tags["glassbox.dvc_model_md5"] == lock["stages"][f"fine_tune@{NAME}"]["outs"][0]["md5"]
    assert tags["glassbox.dvc_model_md5"] in (done.root / "dvc.lock").read_text()
    assert len(tags["glassbox.dvc_stage_md5"]) == 32


def test_what_is_not_on_disk_is_said(project: Project) -> None:
    assert mirror(project.params) == [f"{NAME}: no model on disk yet (dvc pull or dvc repro)"]
    with pytest.raises(TrackingError, match="no model on disk"):
        log_evaluation(project.params, NAME)
    project.write_split()
    project.write_model()
    project.write_history()
    assert "not evaluated yet" in mirror(project.params)[0]


def test_a_split_that_is_not_the_models_is_not_shown_as_its_folds(done: Project) -> None:
    split = done.root / "data/splits/infiltration/split.parquet"
    whole = split.read_bytes()
    split.write_bytes(whole + b"\0")
    assert "without its folds" in mirror(done.params)[0]
    split.unlink()
    assert "without its folds" in mirror(done.params)[0]
    ((run_id, run),) = everything().items()
    assert run["folds"] == []
    split.write_bytes(whole)
    assert mirror(done.params) == [f"{NAME}: completed run {run_id}"]
    complete(done)


def test_a_model_that_its_lineage_does_not_name_is_not_mirrored(done: Project) -> None:
    (done.root / "mlflow.db").unlink()
    model = done.root / "models" / NAME / "model.keras"
    model.write_bytes(model.read_bytes() + b"\0")
    assert "not the one its lineage names" in mirror(done.params)[0]
    assert not (done.root / "mlflow.db").exists()


def test_a_damaged_file_is_refused_by_name(done: Project) -> None:
    scores = done.root / "metrics" / NAME / "scores.json"
    scores.write_text(json.dumps({"test_clean": {}})[:-1])
    with pytest.raises(TrackingError, match=r"scores\.json"):
        mirror(done.params)


def test_a_restored_model_predicts_on_uint8_and_is_dvcs_own_file(
    done: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    import mlflow

    mirror(done.params)
    run_id, _ = complete(done)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{done.root}/mlflow.db")
    images = np.arange(3 * 16 * 16, dtype=np.uint8).reshape(3, 16, 16)
    model = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    expected = keras.saving.load_model(done.keras_file).predict(images, verbose=0)
    np.testing.assert_array_equal(model.predict(images), expected)
    with pytest.raises(mlflow.exceptions.MlflowException):
        model.predict(images.astype(np.float32))
    assert isinstance(mlflow.keras.load_model(f"runs:/{run_id}/model"), keras.Model)
    downloaded: Path = done.root / "downloaded"
    path = mlflow.artifacts.download_artifacts(
        artifact_uri=f"runs:/{run_id}/model/data/model.keras", dst_path=str(downloaded)
    )
    assert sha256_file(downloaded / path) == sha256_file(done.keras_file)


@pytest.mark.parametrize(("classes", "backend"), [(2, "tensorflow"), (15, "jax")])
def test_a_model_says_how_many_classes_it_has_and_which_backend_trained_it(
    done: Project, fifteen_sigmoids: Path, classes: int, backend: str
) -> None:
    import mlflow

    done.backend = backend
    if classes == 15:
        done.keras_file = fifteen_sigmoids
    done.write_all()
    mirror(done.params)
    complete(done)
    (description,) = (done.root / "mlartifacts" / "models").rglob("MLmodel")
    logged = mlflow.models.Model.load(description)
    (images,), (probabilities,) = logged.signature.inputs.inputs, logged.signature.outputs.inputs
    assert (images.shape, probabilities.shape) == ((-1, 16, 16), (-1, classes))
    assert logged.flavors["keras"]["keras_backend"] == backend
    assert f"{backend}==2.21.0" in (description.parent / "requirements.txt").read_text().splitlines()


def test_a_score_that_does_not_exist_is_no_metric(done: Project) -> None:
    mirror(done.params)
    assert not [name for name in complete(done)[1]["points"] if name.endswith("Thickening_roc_auc")]
