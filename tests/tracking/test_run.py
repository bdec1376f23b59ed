from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from glassbox.tracking.run import training_run
from glassbox.tracking.store import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project


@pytest.fixture
def ready(project: Project) -> Project:
    """A project that is about to train."""
    project.write_split()
    return project


def train(project: Project, epochs: int = 4) -> str:
    with training_run(project.params, project.name, project.lineage) as run:
        for row in project.history[:epochs]:
            run.log_epoch(row)
        project.write_model()
        run.log_model()
    return run.id


def runs(store: Store) -> list[Any]:
    return list(store.client.search_runs([store.experiment_id]))


def steps(store: Store, run_id: str, curve: str = "val_loss") -> list[int]:
    return [metric.step for metric in store.client.get_metric_history(run_id, curve)]


def test_a_run_shows_recipe_hashes_machine_and_curves(ready: Project) -> None:
    run_id = train(ready)
    run = (store := open_store()).client.get_run(run_id)
    name = "infiltration_compact compact lr=0.001 batch=32 epochs=1+3 weights=phantom"
    assert run.info.run_name == name
    assert run.info.status == "FINISHED"
    assert run.data.params["fine_tune.optimizer.learning_rate"] == "0.001"
    assert run.data.params["model.dense"] == "[32, 16]"
    assert run.data.tags["glassbox.fingerprint"] == ready.lineage["fingerprint"]
    assert run.data.tags["data.shards_sha256"] == ready.lineage["data"]["shards_sha256"]
    assert run.data.tags["machine.cores"] == "2"
    assert "glassbox.restored" not in run.data.tags
    assert "Infiltration against everything else" in run.data.tags["mlflow.note.content"]
    assert "A paper" in run.data.tags["mlflow.note.content"]
    for curve in ("loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate"):
        history = store.client.get_metric_history(run_id, curve)
        assert [(point.step, point.value) for point in history] == [
            (row["epoch"], row[curve]) for row in ready.history
        ]


def test_a_run_says_where_its_recipe_departs_from_its_source(ready: Project) -> None:
    def shown() -> tuple[str, str]:
        tags = open_store().client.get_run(train(ready)).data.tags
        return tags["glassbox.departures"], tags["mlflow.note.content"]

    assert shown()[0] == "none"
    assert "Departures" not in shown()[1]
    ready.departures = ("Its batch size is unpublished; ours is 32.",)
    assert shown()[0] == "Its batch size is unpublished; ours is 32."
    assert "- Its batch size is unpublished" in shown()[1]
    ready.block["weights"] = "none"
    departures, note = shown()
    assert "nothing is frozen in the warm-start" in departures
    assert "nothing is frozen in the warm-start" in note


@pytest.mark.parametrize(
    ("freeze", "name", "value"),
    [
        ("all_but_batch_normalisation", "fine_tune.freeze", "all_but_batch_normalisation"),
        ({"first": 10}, "fine_tune.freeze.first", "10"),
        ({"all_but_last": 0}, "fine_tune.freeze.all_but_last", "0"),
    ],
)
def test_what_is_frozen_is_a_parameter_of_the_run(ready: Project, freeze: Any, name: str, value: str) -> None:
    ready.block["fine_tune"]["freeze"] = freeze
    assert open_store().client.get_run(train(ready)).data.params[name] == value


def test_a_run_names_its_folds_with_their_images_and_patients(ready: Project) -> None:
    inputs = open_store().client.get_run(train(ready)).inputs.dataset_inputs
    folds = {entry.tags[0].value: (entry.dataset, json.loads(entry.dataset.profile)) for entry in inputs}
    assert set(folds) == {"train", "validation", "test"}
    dataset, counts = folds["train"]
    assert dataset.name == "infiltration train"
    assert ready.lineage["data"]["split_sha256"].startswith(dataset.digest)
    assert counts["images"] == 6
    assert counts["patients"] == 3
    assert counts["images_Infiltration"] == 3
    assert folds["test"][1]["patients"] == 1


def test_a_run_is_found_again_by_its_fingerprint(ready: Project) -> None:
    assert train(ready, epochs=2) == train(ready) == train(ready)
    store = open_store()
    assert len(runs(store)) == 1


def test_an_epoch_is_logged_once_however_often_it_is_trained(ready: Project) -> None:
    train(ready, epochs=2)
    train(ready)
    run_id = train(ready)
    assert steps(open_store(), run_id) == [0, 1, 2, 3]


def test_another_learning_rate_is_another_run(ready: Project) -> None:
    first = train(ready)
    ready.block["fine_tune"]["optimizer"]["learning_rate"] = 0.0001
    assert train(ready) != first
    assert len(runs(open_store())) == 2


def test_other_numbers_of_the_same_recipe_are_a_run_of_their_own(
    ready: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(ready)
    elsewhere = [*ready.history[:2], *({**row, "val_loss": 9.0} for row in ready.history[2:])]
    monkeypatch.setattr(type(ready), "history", elsewhere)
    ready.keras_file = changed(ready.keras_file, ready.root)
    second = train(ready)
    store = open_store()
    assert second != first
    assert steps(store, first) == steps(store, second) == [0, 1, 2, 3]
    assert store.client.get_metric_history(first, "val_loss")[-1].value != 9.0
    assert store.client.get_metric_history(second, "val_loss")[-1].value == 9.0
    assert [run.info.status for run in runs(store)] == ["FINISHED", "FINISHED"]


def test_another_model_with_the_same_curves_is_a_run_of_its_own(ready: Project) -> None:
    first = train(ready)
    ready.keras_file = changed(ready.keras_file, ready.root)
    second = train(ready)
    assert second != first
    assert steps(open_store(), second) == [0, 1, 2, 3]


def changed(keras_file: Path, folder: Path) -> Path:
    """A copy of a model with other bytes."""
    path = folder / "changed.keras"
    path.write_bytes(keras_file.read_bytes() + b"\0")
    return path


def test_a_loss_that_became_nan_is_logged_and_known_again(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    diverged = [{**row, "loss": float("nan"), "val_roc_auc": ""} for row in ready.history]
    monkeypatch.setattr(type(ready), "history", diverged)
    assert (run_id := train(ready)) == train(ready)
    assert steps(store := open_store(), run_id, "loss") == [0, 1, 2, 3]
    assert steps(store, run_id, "val_roc_auc") == []


@pytest.mark.parametrize(("raised", "status"), [(ValueError("NaN"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_training_that_does_not_end_says_so_and_raises(
    ready: Project, raised: BaseException, status: str
) -> None:
    with (
        pytest.raises(type(raised)) as error,
        training_run(ready.params, ready.name, ready.lineage) as run,
    ):
        raise raised
    assert error.value is raised
    assert open_store().client.get_run(run.id).info.status == status


def test_a_store_lost_under_way_costs_no_training(ready: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with training_run(ready.params, ready.name, ready.lineage) as run:
        run.log_epoch(ready.history[0])
        (ready.root / "mlflow.db").write_text("no database\n" * 1000)
        for row in ready.history[1:]:
            run.log_epoch(row)
        ready.write_model()
        run.log_model()
    said = capsys.readouterr().err
    assert said.count("glassbox track") == 1


def test_a_run_names_the_parent_of_the_commit_that_will_hold_it(ready: Project) -> None:
    assert "glassbox.git_parent" not in open_store().client.get_run(train(ready)).data.tags
    ready.block["training"]["seed"] = 2
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "Start"], check=True)
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    assert open_store().client.get_run(train(ready)).data.tags["glassbox.git_parent"] == head


def test_nothing_of_the_environment_is_logged(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAGGLE_KEY", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "USER", "LOGNAME"):
        monkeypatch.setenv(name, "confidential")
    train(ready)
    assert b"confidential" not in (ready.root / "mlflow.db").read_bytes()
