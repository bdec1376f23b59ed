"""The DAG under the real DVC: what re-runs, what comes from the cache, and that two builds are the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

RATE = ("experiments", "one", "fine_tune", "optimizer", "learning_rate")


def _ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


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


def test_an_experiment_is_trained_with_what_its_grid_chose(project):
    (chosen,) = json.loads((project.root / "data/choices/tiny.json").read_text())
    lineage = json.loads((project.root / "models/other/lineage.json").read_text())["params"]
    assert lineage["training"]["images"] == chosen["images"] == 32
    assert lineage["fine_tune"]["freeze"] == {"all_but_last": chosen["all_but_last"]}
    assert (project.root / "metrics/grids/tiny/heat_map.png").exists()
    assert not (project.root / "work/grid/tiny_32").exists()


def test_a_second_repro_runs_nothing(project):
    assert _ran(project.dvc("repro")) == set()


def _listed(project) -> dict[str, set[str]]:
    """Stage -> what it depends on: as dvc.yaml lists it, with a source's own cohort filled in."""
    listed: dict[str, set[str]] = {}
    for name, entry in project.lock().items():
        listed.setdefault(name.partition("@")[0], set()).update(dep["path"] for dep in entry["deps"])
    return listed


def test_every_stage_lists_every_module_it_imports(project):
    listed, imported = _listed(project), project.imported()
    assert set(imported) == set(listed) == set(yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"])
    for name, modules in imported.items():
        assert modules - listed[name] == set(), f"{name} imports modules it does not list in dvc.yaml"


def test_a_stage_lists_no_module_that_its_script_cannot_reach(project):
    """A list that only grows would make stages stale for nothing."""
    listed, imported = _listed(project), project.imported()
    for name, deps in listed.items():
        modules = {path for path in deps if path.startswith("src/") and path.endswith(".py")}
        assert modules - imported[name] == set(), f"{name} lists modules that it does not import"


def test_another_learning_rate_runs_that_experiments_fine_tuning_and_what_follows_and_going_back_restores(project):
    before = project.lock()
    project.set(0.0011, *RATE)
    assert _ran(project.dvc("repro")) == {"fine_tune@one", "predict@one", "evaluate@one", "compare"}
    changed = {name for name, entry in project.lock().items() if entry != before[name]}
    assert changed == {"fine_tune@one", "predict@one", "evaluate@one", "compare"}

    project.set(0.002, *RATE)
    assert _ran(project.dvc("repro")) == set(), "what was built before comes from the run cache"
    assert project.lock() == before


def test_a_forced_rebuild_gives_the_same_bytes(project):
    before = project.lock()
    ran = _ran(project.dvc("repro", "--force", "evaluate@one"))
    assert ran == {
        "download@phantom",
        "catalog@phantom",
        "resize@phantom_64",
        "split@infiltration",
        "weights@none",
        "warm_start@one",
        "fine_tune@one",
        "predict@one",
        "evaluate@one",
    }
    assert project.lock() == before


def test_no_output_names_this_machine(project):
    for folder in ("data", "models", "predictions", "metrics", "reports"):
        for path in (project.root / folder).rglob("*"):
            if path.is_file():
                assert str(project.root).encode() not in path.read_bytes(), path
    assert str(Path.home()) not in (project.root / "dvc.lock").read_text()
