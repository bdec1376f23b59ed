"""A model is made again from its archive in a checkout of its commit, which leaves everything else as it was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import builders
import pytest
import shell_pipeline
from pipeline_copy import ROOT, Project, move_into_a_folder
from shell_pipeline import CHAIN, MODEL

from glassbox.lineage.lock import LineageError
from glassbox.lineage.rebuild.checkout import checkout, synced
from glassbox.lineage.rebuild.comparison import First, Verdict
from glassbox.lineage.rebuild.rebuild import rebuild
from glassbox.lineage.revision import Revision, git
from glassbox.params.document import checked

#: The console script that the installation makes.
GLASSBOX = Path(sys.executable).with_name("glassbox")
ELSEWHERE = {
    "DVC_ROOT": "/elsewhere",
    "PYTHONPATH": "/elsewhere",
    "MLFLOW_TRACKING_URI": "sqlite:////elsewhere.db",
}


def here(project, variables):
    """The environment that runs the tests."""
    return [sys.executable, "-m"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The project, which no test changes."""
    return shell_pipeline.build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def inside(built, monkeypatch):
    """The same, with its root as the working directory."""
    monkeypatch.chdir(built.root)
    return built


@pytest.fixture
def copy(built, tmp_path, monkeypatch):
    """A copy of it, which a test may change, with its root as the working directory."""
    shutil.copytree(built.root.parent, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy/project")
    return Project(tmp_path / "copy/project")


@pytest.fixture(scope="module")
def again(built, tmp_path_factory):
    """The model of the tagged commit, rebuilt where variables lead to other places."""
    folder = tmp_path_factory.mktemp("again")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(built.root)
        for name, value in {**ELSEWHERE, "RAN": str(folder / "ran")}.items():
            patch.setenv(name, value)
        return rebuild(f"{MODEL}@made", built.root, keep=folder / "kept", environment=here)


def files(root):
    """Every file of a project, with where it lies on disk and when it was last changed."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def test_every_stage_runs_once_and_gives_the_same_bytes(built, again):
    assert again.verdict == Verdict.IDENTICAL
    assert again.because == "6 artifacts of 4 stages, made again, have the same bytes"
    assert {one.stage for one in again.artifacts} == set(CHAIN)
    assert all(one.recorded == one.rebuilt for one in again.artifacts)
    ran = (again.kept.parents[2] / "ran").read_text().split()
    assert ran == [stage.partition("@")[0] for stage in CHAIN]
    assert again.commit == git(built.root, "rev-parse", "made").strip()


def test_a_relative_path_leads_to_the_same_zip(again):
    link = again.kept / shell_pipeline.ZIP
    assert link.is_symlink()
    assert link.resolve().name == "films.zip"


def test_a_project_in_a_folder_of_its_repository_is_rebuilt(copy):
    copy.git("checkout", "-q", "made")
    move_into_a_folder(copy.root)
    assert rebuild(f"{MODEL}@HEAD", copy.root, environment=here).verdict == Verdict.IDENTICAL


def test_variables_that_lead_elsewhere_do_not(again):
    said = dict(line.partition("=")[::2] for line in (again.kept / "variables").read_text().splitlines())
    assert said["MLFLOW_TRACKING_URI"] == f"sqlite:///{again.kept}/mlflow.db"
    assert said["DVC_ROOT"] == str(again.kept), "DVC says so to its stages"
    assert "PYTHONPATH" not in said


def test_the_checkout_shares_no_file_with_the_project(built, again):
    # The objects of git, which nobody changes, are shared.
    own = {path.stat().st_ino for path in again.kept.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert not own & {inode for inode, _ in files(built.root).values()}
    assert (again.kept / ".dvc/cache/files").is_dir()
    assert (again.kept.parents[1] / "dvc/repo").is_dir(), "what DVC remembers of files"


def test_the_first_stage_that_differs_is_named_and_the_project_stays_as_it_was(inside, monkeypatch):
    before = files(inside.root)
    monkeypatch.setenv("NOISE", "another")
    done = rebuild(f"{MODEL}@made", inside.root, environment=here)
    assert done.verdict == Verdict.DIFFERENT
    assert done.first == First("split", ())
    assert done.because == "stage split is the first whose outputs differ although its inputs agree"
    differing = {one.path: one.files for one in done.artifacts if not one.same}
    assert differing == {"data/splits/small": ("test",), MODEL: ()}
    kept = {path: stat for path, stat in files(inside.root).items() if ".dvc/tmp" not in path.as_posix()}
    assert kept == {path: stat for path, stat in before.items() if ".dvc/tmp" not in path.as_posix()}
    assert list((inside.root / "work").iterdir()) == []


def test_a_stage_that_fails_ends_it_and_leaves_nothing(inside, monkeypatch):
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(LineageError) as error:
        rebuild(f"{MODEL}@made", inside.root, environment=here)
    assert "`dvc repro fine_tune@one` ends with status" in error.value.found
    assert list((inside.root / "work").iterdir()) == []


def never(project, variables):
    pytest.fail("something ran")


def test_a_workspace_that_no_commit_holds_is_refused(inside):
    # The commit after the build has another line of code, and an edit is in none.
    path = inside.root / "src/glassbox/code.py"
    text = path.read_text()
    path.write_text("CODE = 3\n")
    try:
        with pytest.raises(
            LineageError, match=r"src/glassbox/code\.py differ from commit .*\n.*\n  next: commit it"
        ):
            rebuild(MODEL, inside.root, environment=never)
    finally:
        path.write_text(text)


def test_a_folder_with_something_in_it_is_not_built_in(inside, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(LineageError, match="something is there"):
        rebuild(f"{MODEL}@made", inside.root, keep=tmp_path, environment=never)
    with pytest.raises(LineageError, match="cannot be built in: File exists"):
        rebuild(f"{MODEL}@made", inside.root, keep=tmp_path / "mine", environment=never)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_commit_whose_pipeline_is_another_than_its_lock_says_is_named(copy):
    stages = (copy.root / "dvc.yaml").read_text()
    (copy.root / "dvc.yaml").write_text(stages.replace("  split:", "  cut:"))
    copy.git("commit", "-qam", "Rename")
    with pytest.raises(LineageError, match=r"dvc\.yaml of commit .* has no stage split"):
        rebuild(f"{MODEL}@HEAD", copy.root, environment=never)


def test_a_stage_that_does_not_run_again_is_named(copy):
    stages = (copy.root / "dvc.yaml").read_text()
    (copy.root / "dvc.yaml").write_text(
        stages.replace("- data/splits/small\n      outs", "- data/code\n      outs")
    )
    (copy.root / "stages/fine_tune.sh").write_text(
        "mkdir -p models/one; cd models/one; touch history.csv lineage.json\n"
    )
    copy.append("stages/fine_tune.sh", "touch model.keras\n")
    copy.git("commit", "-qam", "Read no fold")
    with pytest.raises(LineageError, match="has no stage download@films, split behind fine_tune@one"):
        rebuild(f"{MODEL}@HEAD", copy.root, environment=here)


def placed(project, folder):
    """Where a checkout of the tagged commit has its zip."""
    revision = Revision(project.root, git(project.root, "rev-parse", "made").strip())
    folder.mkdir()
    return checkout(project.root, revision, CHAIN, folder) / "data/archives/films.zip"


def test_a_zip_that_is_not_at_its_path_comes_from_a_whole_copy(copy, tmp_path):
    zip_, own = copy.root / shell_pipeline.ZIP, copy.root / "data/archives/films.zip"
    content = zip_.read_bytes()
    assert not placed(copy, tmp_path / "there").exists(), "its stage copies it"
    zip_.write_bytes(content[::-1])
    assert placed(copy, tmp_path / "own").read_bytes() == content
    own.unlink()
    own.write_bytes(content[::-1])
    found = placed(copy, tmp_path / "cache")
    assert found.read_bytes() == content
    assert found.stat().st_nlink == 1
    shutil.rmtree(copy.root / ".dvc/cache")
    with pytest.raises(LineageError, match=r"its zip is neither .* nor .* nor in DVC's cache"):
        placed(copy, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("uv", "found"),
    [
        (None, "there is no uv"),
        ("echo offline >&2; exit 2", "`uv sync --locked` ends with status 2"),
    ],
)
def test_without_uv_or_packages_there_is_one_message(uv, found, tmp_path, monkeypatch):
    (tmp_path / "uv.lock").touch()
    if uv:
        (tmp_path / "uv").write_text(f"#!/bin/sh\n{uv}\n")
        (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(LineageError) as error:
        synced(tmp_path, {"PATH": "/bin:/usr/bin"})
    assert error.value.found.startswith(found)


def test_a_revision_without_locked_packages_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    with pytest.raises(LineageError, match=r"no uv\.lock"):
        synced(tmp_path, {})


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("variables", [{}, {"TF_ENABLE_ONEDNN_OPTS": "0"}], ids=["same kind", "another kind"])
def test_a_clone_without_cache_makes_a_model_again_in_an_environment_of_its_own(variables, trained, tmp_path):
    subprocess.run(["git", "clone", "-q", trained.root, tmp_path / "clone"], check=True)
    done = subprocess.run(
        [GLASSBOX, "rebuild", "models/one/model.keras", "--json"],
        cwd=tmp_path / "clone",
        env={**Project(tmp_path).variables(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert [*(tmp_path / "clone/work").iterdir()] == []
    data = [one for one in told["artifacts"] if one["stage"].partition("@")[0] in ("code", "download", "resize")]
    assert len(data) == 5
    assert all(one["same"] for one in data)
    if not variables:
        assert (done.returncode, told["verdict"]) == (0, "identical")
        return
    assert told["verdict"] in ("equivalent", "different")
    assert told["machine"]["differs_in"] == ["onednn"]
    assert len(told["scores"]) == 8
    assert told["predictions"] == [], "a clone has none to hold them against"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small project with everything that a user has, built and committed."""
    settings = builders.experiment(choice={"file": "conf/choice/none.json"}, fine_tune=builders.phase())
    values = builders.document(experiments={"one": settings})
    project = Project.copy(
        tmp_path_factory.mktemp("trained"), checked(values, "params.yaml").model_dump(mode="json")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project.root / name)
    project.repro("evaluate@one")
    project.git("add", "-A")
    project.git("commit", "-qm", "Build")
    return project
