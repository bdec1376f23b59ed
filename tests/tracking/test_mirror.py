from __future__ import annotations

import hashlib
import math
import shutil
from typing import TYPE_CHECKING, Any

import finished
import pytest
import yaml

from glassbox.artifacts import evaluation, model, predictions, split
from glassbox.artifacts.damage import ArtifactError
from glassbox.evaluation.evaluate import FILES, evaluate
from glassbox.files import json_object, sha256_file
from glassbox.params.experiments import VARIANTS
from glassbox.tracking.run import Run, complete, mirror
from glassbox.tracking.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

KEY = "compact"
NAMES = [path.name for path in model.files(KEY)]
CURVES = {"loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate"}


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
                (logged.model_id, logged.status)
                for logged in client.search_logged_models(
                    [store.experiment_id], f"source_run_id = '{run.info.run_id}'"
                )
            ],
        }
        for run in client.search_runs([store.experiment_id])
    }


def the_run() -> tuple[str, dict[str, Any]]:
    """The one run of the store, and what it says."""
    ((run_id, run),) = everything().items()
    return run_id, run


def whole_run() -> tuple[str, dict[str, Any]]:
    """The one run of the store, which must say all there is to say."""
    run_id, run = the_run()
    assert run["status"] == "FINISHED"
    assert [step for step, _ in run["points"]["val_loss"]] == [0, 1, 2, 3]
    assert run["points"]["test_clean_roc_auc"] == [(0, evaluation.read_scores(KEY)["test_clean"].roc_auc)]
    assert run["folds"] == ["squares test", "squares train", "squares validation"]
    measured = [f"metrics/{name}" for name in FILES]
    said = [f"predictions/{variant}.parquet" for variant in VARIANTS]
    assert run["artifacts"] == sorted([*NAMES, *measured, *said])
    assert [status for _, status in run["models"]] == ["READY"]
    assert run["tags"]["glassbox.model_sha256"] == sha256_file(model.files(KEY).model)
    return run_id, run


def score(change: dict[str, Any]) -> None:
    """Writes other scores of the clean variant, and their record."""
    measured = evaluation.read_scores(KEY)
    clean = measured["test_clean"].model_copy(update=change)
    evaluation.write_scores(KEY, {**measured, "test_clean": clean})
    evaluation.write(KEY, model.read_lineage(KEY).model_sha256, FILES)


def test_an_empty_store_is_restored_and_a_second_mirror_changes_nothing(done: Path) -> None:
    said = mirror(KEY)
    run_id, run = whole_run()
    assert said == f"{KEY}: restored run {run_id}"
    assert run["tags"]["glassbox.restored"] == "true"
    before = everything()
    assert mirror(KEY) == f"{KEY}: complete already"
    assert everything() == before


def test_a_trained_and_evaluated_run_needs_no_mirror(ready: Path) -> None:
    with Run(made := finished.origin(KEY)) as run:
        for row in finished.epochs():
            run.log_epoch(row)
        finished.train(KEY, made)
        run.complete()
    trained = the_run()[1]
    assert trained["folds"] == ["squares train", "squares validation"]
    assert trained["artifacts"] == sorted(NAMES)
    uploaded = {path: path.stat().st_mtime_ns for path in (ready / "mlartifacts").rglob("*.keras")}
    finished.predict(KEY)
    evaluate(KEY)
    complete(KEY, evaluated=True)
    assert {path: path.stat().st_mtime_ns for path in uploaded} == uploaded
    run_id, content = whole_run()
    assert run_id == run.id
    assert "glassbox.restored" not in content["tags"]
    before = everything()
    complete(KEY, evaluated=True)
    assert mirror(KEY) == f"{KEY}: complete already"
    assert everything() == before


def test_an_evaluation_without_a_run_restores_it(done: Path) -> None:
    complete(KEY, evaluated=True)
    assert whole_run()[1]["tags"]["glassbox.restored"] == "true"


def test_a_killed_training_ends_complete(done: Path) -> None:
    store, digest = open_store(), model.read_lineage(KEY).model_sha256
    with Run(finished.origin(KEY)) as run:
        for row in finished.epochs()[:2]:
            run.log_epoch(row)
    # As kill -9 leaves it, while the model is being logged.
    store.client.update_run(run.id, status="RUNNING")
    tags = {"glassbox.model_sha256": digest}
    store.client.create_logged_model(store.experiment_id, name="model", source_run_id=run.id, tags=tags)
    assert mirror(KEY) == f"{KEY}: completed run {run.id}"
    assert whole_run()[0] == run.id
    assert mirror(KEY) == f"{KEY}: complete already"


def test_half_a_run_with_other_numbers_is_not_completed_with_this_models(done: Path) -> None:
    with Run(finished.origin(KEY)) as run:
        run.log_epoch({**finished.epochs()[0], "val_loss": 9.0})
    line = mirror(KEY)
    assert "restored" in line
    found = everything()
    assert len(found) == 2
    assert found[run.id]["points"]["val_loss"] == [(0, 9.0)]
    assert mirror(KEY) == f"{KEY}: complete already"


def test_lost_artifacts_come_back(done: Path) -> None:
    mirror(KEY)
    (figure,) = (done / "mlartifacts").rglob("roc.png")
    figure.unlink()
    run_id, _ = the_run()
    assert mirror(KEY) == f"{KEY}: completed run {run_id}"
    whole_run()
    (logged,) = (done / "mlartifacts" / "models").iterdir()
    shutil.rmtree(logged)
    assert mirror(KEY) == f"{KEY}: completed run {run_id}"
    whole_run()
    assert mirror(KEY) == f"{KEY}: complete already"


def test_new_scores_of_the_same_model_are_logged(done: Path) -> None:
    mirror(KEY)
    score({"roc_auc": 0.5})
    complete(KEY, evaluated=True)
    store = open_store()
    (run,) = store.client.search_runs([store.experiment_id])
    assert run.data.metrics["test_clean_roc_auc"] == 0.5


def test_scores_keep_their_names_as_far_as_mlflow_takes_them(done: Path) -> None:
    mirror(KEY)
    measured = json_object(evaluation.folder(KEY) / evaluation.SCORES)["test_clean"]
    wanted = {f"test_clean_{name}": value for name, value in measured.items() if name != "classes"}
    for name, of_class in zip(("No_Finding", "Pleural_Thickening"), measured["classes"].values(), strict=True):
        wanted |= {f"test_clean_classes_{name}_{metric}": value for metric, value in of_class.items()}
    points = whole_run()[1]["points"]
    assert {name: points[name] for name in wanted} == {name: [(0, value)] for name, value in wanted.items()}
    assert {name for name in points if not name.startswith("test_")} == CURVES


def test_a_score_that_does_not_exist_is_no_metric(done: Path) -> None:
    classes = evaluation.read_scores(KEY)["test_clean"].classes
    score({"classes": {name: each.model_copy(update={"roc_auc": None}) for name, each in classes.items()}})
    mirror(KEY)
    assert "test_clean_classes_No_Finding_roc_auc" not in whole_run()[1]["points"]
    assert mirror(KEY) == f"{KEY}: complete already"


def test_over_a_score_that_no_longer_exists_stands_nan(done: Path) -> None:
    mirror(KEY)
    classes = evaluation.read_scores(KEY)["test_clean"].classes
    score({"classes": {name: each.model_copy(update={"roc_auc": None}) for name, each in classes.items()}})
    assert mirror(KEY).startswith(f"{KEY}: completed")
    store = open_store()
    (run,) = store.client.search_runs([store.experiment_id])
    assert math.isnan(run.data.metrics["test_clean_classes_No_Finding_roc_auc"])
    assert mirror(KEY) == f"{KEY}: complete already"


def test_what_was_measured_of_an_older_model_is_not_logged_as_this_ones(done: Path) -> None:
    finished.train(KEY, weights=b"others")
    line = mirror(KEY)
    assert "another model" in line
    _, run = the_run()
    assert set(run["points"]) == CURVES
    assert run["artifacts"] == sorted(NAMES)
    assert run["folds"] == ["squares train", "squares validation"]


def test_a_run_leads_to_the_revision_that_holds_its_model(done: Path) -> None:
    path = model.files(KEY).model
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    outs = [{"path": path.as_posix(), "hash": "md5", "md5": md5}]
    stages = {f"fine_tune@{KEY}": {"cmd": "python stages/fine_tune.py", "outs": outs}}
    (done / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    mirror(KEY)
    tags = whole_run()[1]["tags"]
    assert tags["glassbox.dvc_model_md5"] == md5
    assert len(tags["glassbox.dvc_stage_md5"]) == 32


def test_a_lock_of_another_model_is_not_led_to(done: Path) -> None:
    outs = [{"path": model.files(KEY).model.as_posix(), "hash": "md5", "md5": "a" * 32}]
    stages = {f"fine_tune@{KEY}": {"outs": outs}}
    (done / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    mirror(KEY)
    assert "glassbox.dvc_model_md5" not in whole_run()[1]["tags"]


@pytest.mark.parametrize("file", model.files(KEY), ids=lambda path: path.name)
@pytest.mark.parametrize("content", [None, b"others"], ids=["missing", "damaged"])
def test_a_model_that_is_not_whole_on_disk_is_said_and_not_mirrored(
    done: Path, file: Path, content: bytes | None
) -> None:
    (done / "mlflow.db").unlink()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    line = mirror(KEY)
    assert line.startswith(f"{KEY}: no whole model on disk: {file} ")
    assert not (done / "mlflow.db").exists()
    with pytest.raises(ArtifactError, match=str(file)):
        complete(KEY, evaluated=True)


@pytest.mark.parametrize(
    "file",
    [
        evaluation.path(KEY),
        evaluation.folder(KEY) / evaluation.SCORES,
        evaluation.folder(KEY) / "roc.png",
        predictions.folder(KEY) / "test_clean.parquet",
    ],
    ids=lambda path: path.name,
)
def test_a_model_whose_evaluation_is_not_whole_is_mirrored_without_it(done: Path, file: Path) -> None:
    file.write_text("<<<<<<< HEAD")
    line = mirror(KEY)
    assert f"not evaluated yet: {file} " in line
    _, run = the_run()
    assert set(run["points"]) == CURVES
    assert run["artifacts"] == sorted(NAMES)


def test_a_split_that_is_not_the_models_is_not_shown_as_its_folds(done: Path) -> None:
    folder = split.folder("squares")
    folder.rename("kept")
    assert "without its folds" in mirror(KEY)
    finished.write_split(first=100)
    assert "without its folds" in mirror(KEY)
    run_id, run = the_run()
    assert run["folds"] == []
    shutil.rmtree(folder)
    (done / "kept").rename(folder)
    assert mirror(KEY) == f"{KEY}: completed run {run_id}"
    whole_run()


def test_a_run_that_has_its_folds_needs_no_split_on_disk(done: Path) -> None:
    mirror(KEY)
    shutil.rmtree(split.folder("squares"))
    assert mirror(KEY) == f"{KEY}: complete already"


def test_of_an_experiment_that_was_never_trained_nothing_is_mirrored(done: Path) -> None:
    assert mirror("gone").startswith("gone: no whole model on disk")
    assert everything() == {}
