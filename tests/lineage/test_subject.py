"""A model is audited by whatever name somebody has for it, and with the revision that made it."""

import shutil
from pathlib import Path

import pytest
import recorded
from recorded import KEY, MODEL, git, judged

from glassbox.artifacts import model
from glassbox.errors import GlassboxError
from glassbox.files import sha256_file
from glassbox.lineage.subject import find
from glassbox.tracking.origin import tagged
from glassbox.tracking.registry import promote
from glassbox.tracking.store import existing


def head():
    return git("rev-parse", "HEAD").strip()


def run_of(lineage):
    """The id of the run of a model."""
    (found,) = tagged(existing(), "glassbox.fingerprint", lineage.fingerprint)
    return found.info.run_id


@pytest.fixture(scope="module")
def history(tmp_path_factory, elsewhere_once):
    """Two commits with another model each: the older one was made on another kind of machine than HEAD's.

    An experiment of DVC's holds HEAD's model as well, and a run tells of each; nobody writes here.
    """
    root = recorded.copy(elsewhere_once, tmp_path_factory.mktemp("history") / "project")
    with recorded.inside(root):
        recorded.make_experiment("tried-out")
        git("commit", "-qam", "Rebuild")
        promote(KEY, "champion")
        yield root


def test_a_copy_of_the_file_from_anywhere_is_of_the_commit_that_holds_it(history, tmp_path):
    shutil.copy(MODEL, tmp_path / "mine.keras")
    done, bad = judged(str(tmp_path / "mine.keras"))
    assert done.passed
    assert bad == {}
    assert done.subject.revision.commit == head()


def test_a_copy_of_an_older_model_is_of_the_older_commit(history, recorded_once):
    done, bad = judged(str(recorded_once / MODEL))
    assert done.passed
    assert bad == {}
    assert done.subject.revision.commit == git("rev-parse", "HEAD~1").strip()
    assert done.record.model.sha256 == sha256_file(recorded_once / MODEL) != sha256_file(Path(MODEL))


@pytest.mark.parametrize("revision", ["HEAD", "HEAD~1", "tried-out"])
def test_a_path_at_a_revision_is_of_that_revision(history, revision):
    commit = git("rev-parse", "refs/exps/00/11/tried-out" if revision == "tried-out" else revision).strip()
    done, bad = judged(f"{MODEL}@{revision}")
    assert done.passed
    assert bad == {}
    assert done.subject.revision.commit == done.record.revision == commit
    assert (done.record.machine["vendor"] == "Another") == (revision != "HEAD~1")


def test_a_revision_is_audited_whatever_the_workspace_holds(elsewhere):
    git("stash", "-q")
    shutil.rmtree("models")
    shutil.rmtree("data")
    done, bad = judged(f"{MODEL}@HEAD")
    assert done.passed
    assert bad == {}


def test_a_run_and_a_registered_model_lead_to_the_commit(history):
    run = run_of(model.read_lineage(KEY))
    for said in (run, f"models:/{KEY}@champion", f"models:/{KEY}/1"):
        done, bad = judged(said)
        assert done.passed
        assert bad == {}
        assert done.subject.revision.commit == head()
        assert f"MLflow run {run}" in {link.name for link in done.links}


def test_what_no_commit_holds_yet_is_of_the_workspace(elsewhere, tmp_path):
    shutil.copy(MODEL, tmp_path / "mine.keras")
    for said in (str(tmp_path / "mine.keras"), run_of(model.read_lineage(KEY))):
        assert find(said, elsewhere).revision.commit is None


def test_a_model_that_is_gone_from_the_workspace_is_found_by_its_path(recording):
    Path(MODEL).unlink()
    done, bad = judged()
    assert done.passed
    assert bad == {}
    assert done.subject.revision.commit is None


def write_model(path):
    Path(path).write_bytes(b"a model of nobody's")
    return path


UNKNOWN = {
    "a file that nobody made": (lambda: write_model("mine.keras"), "no revision made mine.keras"),
    "no file": (lambda: "nowhere.keras", "there is no file nowhere.keras"),
    "a folder": (lambda: f"models/{KEY}", f"there is no file models/{KEY}"),
    "nothing": (lambda: "", "there is no file"),
    "a name that is too long": (lambda: "x" * 5000, "there is no file x"),
    "another output": (lambda: "data/splits/squares/train.parquet", "is no model: stage split@squares made it"),
    "a history": (lambda: f"models/{KEY}/history.csv", f"is no model: stage fine_tune@{KEY} made it"),
    "another output of a commit": (lambda: "data/catalogs/films.parquet@HEAD", "is no model"),
    "no output of a commit": (lambda: "README.md@HEAD", "no stage of commit"),
    "no revision": (lambda: f"{MODEL}@nothing", f"{MODEL}@nothing: git knows no revision nothing"),
    "no run": (lambda: "0" * 32, "Run with id=00000000000000000000000000000000 not found"),
    "no registered model": (lambda: "models:/nobody@champion", "models:/nobody@champion"),
    "no version": (lambda: f"models:/{KEY}/7", f"models:/{KEY}/7"),
    "no name": (lambda: "models:/", "models:/ names no model"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_no_model_of_the_project_is_refused_with_one_message(recording, what):
    said, message = UNKNOWN[what]
    with pytest.raises(GlassboxError) as refused:
        judged(said())
    assert message in refused.value.found
    assert refused.value.expected
    assert refused.value.action


def test_a_run_without_a_model_is_refused(recording):
    client, experiment = existing()
    run = client.create_run(experiment).info.run_id
    with pytest.raises(GlassboxError, match=f"run {run} has no model"):
        judged(run)


def test_without_a_store_there_is_neither_run_nor_registered_model(recording):
    run = run_of(model.read_lineage(KEY))
    Path("mlflow.db").unlink()
    for said in (run, f"models:/{KEY}@champion"):
        with pytest.raises(GlassboxError, match="there is no MLflow store"):
            judged(said)
    assert not Path("mlflow.db").exists()


def test_a_run_whose_model_no_revision_made_is_refused(recording):
    run = run_of(model.read_lineage(KEY))
    (path,) = Path("mlartifacts/models").glob("*/artifacts/data/model.keras")
    write_model(path)
    with pytest.raises(GlassboxError, match=f"no revision made the model of run {run}"):
        judged(run)
