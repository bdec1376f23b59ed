"""The DAG under the real DVC: what re-runs, what comes from the cache, and that two builds are the same bytes."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from pipeline_copy import ran

from glassbox.code.digests import UNSEEN
from glassbox.code.reach import reach

pytestmark = pytest.mark.timeout(1800)
RATE = ("experiments", "one", "fine_tune", "optimizer", "learning_rate")
FOLDS = ("train", "validation", "test")


def _folds(project, split):
    place = project.root / "data" / "splits" / split
    return {fold: set(pd.read_parquet(place / f"{fold}.parquet")["patient_id"]) for fold in FOLDS}


def test_one_command_ends_in_scores_models_predictions_and_a_page(project):
    for experiment in ("one", "other"):
        scores = json.loads((project.root / "metrics" / experiment / "scores.json").read_text())
        assert set(scores) == {"test_clean", "test_augmented"}
        assert (project.root / "models" / experiment / "model.keras").stat().st_size > 100_000
        assert len(list((project.root / "predictions" / experiment).glob("*.parquet"))) == 2
    page = (project.root / "reports" / "comparison.html").read_text()
    assert "one" in page
    assert "other" in page
    assert (project.root / "mlflow.db").exists()


def test_the_console_shows_what_dvc_and_the_stages_say_and_nothing_else(project):
    dvc = (
        "Running stage ",
        "> PYTHONPATH=src python -P stages/",
        "Generating lock",
        "Updating lock",
        "To ",
        "Use ",
        "\t",
    )
    phases = ("pretraining", "warm_start", "fine_tune")
    ours = ("Dask dashboard: http", "tiny: ", *(f"{phase} epoch " for phase in phases))
    others = [line for line in project.console.splitlines() if line and not line.startswith(dvc + ours)]
    assert others == []


def test_an_experiment_is_trained_with_what_its_grid_chose(project):
    (chosen,) = json.loads((project.root / "data/choices/tiny.json").read_text())["cells"]
    lineage = json.loads((project.root / "models/other/lineage.json").read_text())["params"]
    assert lineage["training"]["images"] == chosen["images"] == 16
    assert lineage["fine_tune"]["freeze"] == {"all_but_last": chosen["all_but_last"]}
    assert (project.root / "metrics/grids/tiny/heat_map.png").exists()
    assert [path.suffix for path in (project.root / "work/grid/tiny").iterdir()] == [".json"] * 2


def test_no_stage_imports_a_module_that_the_walk_over_imports_does_not_reach(project):
    imported = project.imported()
    assert set(imported) == set(yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"])
    for stage, modules in imported.items():
        starts = [f"stages/{stage}.py", *(["src/glassbox/cohorts/nih.py"] if stage == "catalog" else [])]
        reached = {path.as_posix() for start in starts for path in reach(project.root, Path(start), UNSEEN).files}
        empty = {path for path in modules if path.endswith("__init__.py")}
        assert modules - reached - empty == set(), f"{stage} imports what no import in its script leads to"


def test_no_output_names_this_machine(project):
    for folder in ("data", "models", "predictions", "metrics", "reports"):
        for path in (project.root / folder).rglob("*"):
            if path.is_file():
                assert str(project.root).encode() not in path.read_bytes(), path
    assert str(Path.home()) not in (project.root / "dvc.lock").read_text()


def test_sentences_and_the_observer_re_run_nothing_but_code(project):
    """On the queue too, which runs a copy of the project."""
    for path in sorted((project.root / "src/glassbox").rglob("*.py")):
        path.write_text(path.read_text().replace('"""', '"""Another sentence. ', 1) + "# And a comment.\n")
    script = project.root / "stages/fine_tune.py"
    script.write_text(script.read_text().replace('"""', '"""Another sentence. ', 1))
    project.append("src/glassbox/tracking/run.py", "OBSERVED = 1\n")
    project.append("src/glassbox/tracking/store.py", "OBSERVED = 1\n")
    project.dvc("exp", "run", "--queue", "-n", "sentences")
    project.dvc("queue", "start")
    while "Running" in (state := project.dvc("queue", "status")) or "Queued" in state:
        time.sleep(2)
    logs = project.dvc("queue", "logs", "sentences")
    assert "Success" in state, logs
    assert ran(logs) == {"code"}
    (experiment,) = project.git("for-each-ref", "--format=%(refname)", "refs/exps/**/sentences").split()
    lock = project.lock_of(experiment)
    assert {name for name, entry in project.lock.items() if lock[name] != entry} == {"code"}
    project.dvc("exp", "remove", "sentences")


def test_a_typo_is_refused_before_any_other_stage(project):
    project.set(0.1, "experiments", "one", "fine_tune", "optimizer", "learningrate")
    done = project.run(sys.executable, "-m", "dvc", "repro")
    assert done.returncode != 0
    assert ran(done.stdout) == {"code"}
    assert "learningrate" in done.stdout
    assert "Traceback" not in done.stdout
    project.git("checkout", "params.yaml")


def test_another_number_of_choices_trains_no_cell_and_no_model(project):
    """Nor does a typo that was mended."""
    project.set(2, "grids", "tiny", "choices")
    assert project.repro() == {"code", "choose@tiny", "recipe@other", "compare"}


def test_a_line_of_params_and_a_learning_rate_re_run_what_reads_them_and_going_back_restores(project):
    project.append("src/glassbox/params/withdrawn.py", "ANOTHER = 1\n")
    project.set(1, "grids", "tiny", "choices")
    project.set(0.0011, *RATE)
    parse_withdrawals = {"catalog@films", "compare"}
    read_the_rate = {"recipe@one", "fine_tune@one", "predict@one", "evaluate@one", "compare"}
    assert project.repro() == {"code"} | parse_withdrawals | read_the_rate
    assert (project.root / "data/choices/tiny.json").exists()

    project.git("checkout", "params.yaml")
    project.take("src", "stages")
    assert project.repro() == set(), "what was built before comes from the run cache"
    assert project.lock == project.lock_of("HEAD")


@dataclass(frozen=True)
class Step:
    """What a build ran, and what it left: dvc.lock, and the patients of each split's folds."""

    ran: set[str]
    lock: dict[str, object]
    folds: dict[str, dict[str, set[str]]]

    @classmethod
    def of(cls, project, ran):
        return cls(ran, project.lock, {split: _folds(project, split) for split in ("one", "other")})

    def outs(self, *stages):
        """MD5 of the outputs of some stages by their paths."""
        return {
            out["path"]: out["md5"]
            for name, entry in self.lock.items()
            if name.split("@")[0] in stages
            for out in entry["outs"]
        }


@pytest.fixture(scope="module")
def built(project):
    """The project as it was built at first."""
    return Step.of(project, set())


@pytest.fixture(scope="module")
def changed(project, archives, built):
    """After a film came into the test fold of `other`, and a patient withdrew from the training fold of `one`."""
    glassbox = Path(sys.executable).with_name("glassbox")
    done = project.run(str(glassbox), "withdraw", "--source", "films", "--patient", archives.patient)
    assert done.returncode == 0, done.stdout
    project.set(archives.source("more"), "sources", "films")
    return Step.of(project, project.repro())


NETWORKS = ("weights", "grid", "choose", "warm_start", "fine_tune", "predict", "evaluate")


def test_a_film_more_in_a_test_fold_re_runs_no_training(project, archives, built, changed):
    of_other = {name for name in changed.ran if name.endswith("@other") and name.split("@")[0] in NETWORKS}
    assert of_other == {"predict@other", "evaluate@other"}
    models = built.outs("warm_start", "fine_tune")
    now = changed.outs("warm_start", "fine_tune")
    assert {path for path in models if "/other/" in path and now[path] != models[path]} == set()
    assert changed.folds["other"] == built.folds["other"]
    test = pd.read_parquet(project.root / "data/splits/other/test.parquet")
    assert archives.film in set(test["image_id"])


def test_a_patient_less_retrains_who_saw_the_patient_and_nobody_else(archives, built, changed):
    retrained = {"warm_start@one", "fine_tune@one", "predict@one", "evaluate@one"}
    tested = {"predict@other", "evaluate@other"}  # on the film that came
    assert {name for name in changed.ran if name.split("@")[0] in NETWORKS} == retrained | tested
    before, now = built.folds["one"], changed.folds["one"]
    for fold in FOLDS:
        assert len(before[fold] - now[fold] - {archives.patient}) <= 1
        assert len(now[fold] - before[fold]) <= 1
    assert archives.patient in before["train"]
    assert archives.patient not in set().union(*now.values())
    assert built.outs("fine_tune")["models/one/model.keras"] != changed.outs("fine_tune")["models/one/model.keras"]


def test_a_forced_rebuild_from_an_archive_without_the_patient_gives_the_same_bytes(project, archives, changed):
    (project.root / "conf/withdrawn/films.txt").unlink()
    project.set([], "withdrawn", "films")
    project.set(archives.source("less"), "sources", "films")
    shutil.rmtree(project.root / "data/shards")
    assert project.repro("--force", "evaluate@one") == {
        "code",
        "download@films",
        "catalog@films",
        "resize@films_32",
        "split@one",
        "weights@none",
        "recipe@one",
        "warm_start@one",
        "fine_tune@one",
        "predict@one",
        "evaluate@one",
    }
    # All that was made of the other fits it too, but for recipes, which name their archive.
    assert project.repro() == {"recipe@other", "compare"}
    outs = {name: entry["outs"] for name, entry in changed.lock.items()}
    lock = project.lock
    other = {name for name, entry in lock.items() if entry["outs"] != outs[name]}
    assert other == {"download@films", "catalog@films", "recipe@one", "recipe@other", "compare"}
    # The catalog counts beside it who was withdrawn.
    (catalog,) = [out for out in outs["catalog@films"] if out["path"].startswith("data/")]
    assert catalog in lock["catalog@films"]["outs"]
