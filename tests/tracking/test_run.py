from __future__ import annotations

import json
import math
import subprocess
from typing import TYPE_CHECKING, Any

import finished
import pytest

from glassbox.artifacts import model
from glassbox.tracking.run import Run
from glassbox.tracking.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "compact"
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate")
ELSEWHERE = finished.MACHINE | {"vector_extensions": "avx avx2 avx512f fma"}


def train(
    made: dict[str, Any] | None = None, rows: list[dict[str, Any]] | None = None, weights: bytes = b"weights"
) -> str:
    """Trains within a run, whose id is given back."""
    made, rows = made or finished.origin(KEY), rows or finished.epochs()
    with Run(made) as run:
        for row in rows:
            run.log_epoch(row)
        finished.train(KEY, made, rows, weights=weights)
        run.complete()
    return run.id


def data(run_id: str) -> Any:
    return open_store().client.get_run(run_id).data


def runs(store: Store) -> list[Any]:
    return list(store.client.search_runs([store.experiment_id]))


def points(run_id: str, curve: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in open_store().client.get_metric_history(run_id, curve)]


def test_a_run_shows_recipe_hashes_machine_and_curves(ready: Path) -> None:
    run_id, made = train(), finished.origin(KEY)
    run = open_store().client.get_run(run_id)
    assert run.info.run_name == "compact compact lr=0.003 batch=16 epochs=1+2 weights=given"
    assert run.info.status == "FINISHED"
    assert run.data.params["fine_tune.optimizer.learning_rate"] == "0.003"
    assert run.data.params["warm_start.freeze"] == "everything"
    assert run.data.params["model.dense"] == "[]"
    tags = run.data.tags
    assert tags["glassbox.fingerprint"] == made["fingerprint"]
    assert tags["glassbox.profile"] == "test"
    assert tags["glassbox.model_sha256"] == model.read_lineage(KEY).model_sha256
    for kind in ("data", "code"):
        assert {f"{kind}.{name}": digest for name, digest in made[kind].items()}.items() <= tags.items()
    assert (tags["machine.vector_extensions"], tags["machine.onednn"]) == ("avx avx2 fma", "true")
    assert "glassbox.restored" not in tags
    assert "Thickening against nothing" in tags["mlflow.note.content"]
    assert "A paper" in tags["mlflow.note.content"]
    for curve in CURVES:
        assert points(run_id, curve) == [(row["epoch"], row[curve]) for row in finished.epochs()]


def test_what_is_frozen_is_a_parameter_of_the_run(ready: Path, recipe: Callable[..., None]) -> None:
    recipe(fine_tune={**finished.origin(KEY)["params"]["fine_tune"], "freeze": {"all_but_last": 0}})
    assert data(train()).params["fine_tune.freeze.all_but_last"] == "0"


def test_a_run_says_where_its_recipe_departs_from_its_source(ready: Path, recipe: Callable[..., None]) -> None:
    tags = data(train()).tags
    assert tags["glassbox.departures"] == "none"
    assert "Departures" not in tags["mlflow.note.content"]
    recipe(departures={"batches": "Its batch size is unpublished; ours is 16."}, weights="none")
    tags = data(train()).tags
    for place in ("glassbox.departures", "mlflow.note.content"):
        assert "Its batch size is unpublished; ours is 16." in tags[place]
        assert "nothing is frozen in the warm-start" in tags[place]


def test_a_training_names_the_folds_it_sees_with_their_images_and_patients(ready: Path) -> None:
    inputs = open_store().client.get_run(train()).inputs.dataset_inputs
    folds = {entry.tags[0].value: (entry.dataset, json.loads(entry.dataset.profile)) for entry in inputs}
    assert set(folds) == {"train", "validation"}
    dataset, counts = folds["train"]
    assert dataset.name == "squares train"
    assert finished.origin(KEY)["data"]["train_sha256"].startswith(dataset.digest)
    assert (counts["images"], counts["patients"], counts["draws_per_epoch"]) == (6, 3, 12)
    assert counts["images_Pleural (Thickening)"] == 3


def test_a_run_is_found_by_its_fingerprint_and_an_epoch_logged_once_however_often_trained(ready: Path) -> None:
    assert train(rows=finished.epochs()[:2]) == train() == (run_id := train())
    assert len(runs(open_store())) == 1
    assert [step for step, _ in points(run_id, "val_loss")] == [0, 1, 2, 3]


def test_another_recipe_is_another_run(ready: Path, recipe: Callable[..., None]) -> None:
    first = train()
    recipe(training={"seed": 5, "batch_size": 16})
    assert train() != first
    assert len(runs(open_store())) == 2


def test_one_recipe_on_two_kinds_of_machine_is_two_runs(ready: Path) -> None:
    here, elsewhere = finished.origin(KEY), finished.origin(KEY, ELSEWHERE)
    first, second = train(here), train(elsewhere, weights=b"others")
    assert first != second
    assert [train(here), train(elsewhere, weights=b"others")] == [first, second]
    extensions = [data(run_id).tags["machine.vector_extensions"] for run_id in (first, second)]
    assert extensions == [made["machine"]["vector_extensions"] for made in (here, elsewhere)]


def test_other_numbers_of_the_same_recipe_are_a_run_of_their_own(ready: Path) -> None:
    first, rows = train(), finished.epochs()
    second = train(rows=[*rows[:2], *({**row, "val_loss": 9.0} for row in rows[2:])], weights=b"others")
    assert second != first
    assert [value for _, value in points(first, "val_loss")] == [row["val_loss"] for row in rows]
    assert points(second, "val_loss")[1:] == [(1, rows[1]["val_loss"]), (2, 9.0), (3, 9.0)]
    assert [run.info.status for run in runs(open_store())] == ["FINISHED", "FINISHED"]


def test_other_numbers_go_on_in_another_run_before_there_is_a_model(ready: Path) -> None:
    first, rows = train(), finished.epochs()
    with Run(finished.origin(KEY)) as run:
        assert run.id == first
        run.log_epoch(rows[0])
        run.log_epoch({**rows[1], "val_loss": 9.0})
    assert run.id != first
    assert [value for _, value in points(run.id, "val_loss")] == [rows[0]["val_loss"], 9.0]


def test_another_model_with_the_same_curves_is_a_run_of_its_own(ready: Path) -> None:
    first = train()
    second = train(weights=b"others")
    assert second != first
    assert [step for step, _ in points(second, "val_loss")] == [0, 1, 2, 3]


def test_an_epoch_without_a_value_is_no_point_and_costs_its_curve_no_other(ready: Path) -> None:
    rows = finished.epochs()
    rows[1]["val_roc_auc"] = math.nan
    assert (run_id := train(rows=rows)) == train(rows=rows)
    assert points(run_id, "val_roc_auc") == [(epoch, rows[epoch]["val_roc_auc"]) for epoch in (0, 2, 3)]
    assert [step for step, _ in points(run_id, "val_loss")] == [0, 1, 2, 3]


@pytest.mark.parametrize(("raised", "status"), [(ValueError("NaN"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_training_that_does_not_end_says_so_and_raises(ready: Path, raised: BaseException, status: str) -> None:
    with pytest.raises(type(raised)) as error, Run(finished.origin(KEY)) as run:
        raise raised
    assert error.value is raised
    assert open_store().client.get_run(run.id).info.status == status


def test_a_finished_run_stays_finished_when_its_training_is_repeated_and_interrupted(ready: Path) -> None:
    first = train()
    with pytest.raises(KeyboardInterrupt), Run(finished.origin(KEY)) as run:
        raise KeyboardInterrupt
    assert run.id == first
    assert [each.info.status for each in runs(open_store())] == ["FINISHED"]


def test_a_store_lost_under_way_costs_no_training(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Run(made := finished.origin(KEY)) as run:
        first, *others = finished.epochs()
        run.log_epoch(first)
        (ready / "mlflow.db").write_text("no database\n" * 1000)
        for row in others:
            run.log_epoch(row)
        finished.train(KEY, made)
        run.complete()
    assert capsys.readouterr().err.count("glassbox track") == 1


def test_a_run_names_the_parent_of_the_commit_that_will_hold_it(ready: Path) -> None:
    assert "glassbox.git_parent" not in data(train()).tags
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "Start"], check=True)
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    assert data(train(finished.origin(KEY, ELSEWHERE))).tags["glassbox.git_parent"] == head


def test_nothing_of_the_environment_is_logged(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAGGLE_KEY", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "USER", "LOGNAME"):
        monkeypatch.setenv(name, "confidential")
    train()
    assert b"confidential" not in (ready / "mlflow.db").read_bytes()
