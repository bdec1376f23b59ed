"""A project may lie in a folder of its repository: what is asked of a commit is answered there as in its root."""

import shutil

import pytest
import recorded
from click.testing import CliRunner
from pipeline_copy import move_into_a_folder
from recorded import MODEL, git, judged

from glassbox.cli import main
from glassbox.lineage.trace.trace import trace


@pytest.fixture
def project(tmp_path, recorded_once):
    """The recorded project in a folder of its repository; the working directory."""
    (tmp_path / "projects").mkdir()
    root = recorded.copy(recorded_once, tmp_path / "projects" / "first")
    move_into_a_folder(root)
    with recorded.inside(root):
        yield root


def test_a_model_at_a_commit_is_audited_compared_and_traced(project):
    before = judged()[0]
    shutil.rmtree("data")
    done, bad = judged(f"{MODEL}@HEAD")
    assert (done.passed, bad) == (True, {})
    assert done.record == before.record.model_copy(update={"images": done.record.images})
    assert done.record.images.equals(before.record.images)
    said = CliRunner().invoke(main, ["audit", f"{MODEL}@HEAD", "--diff", MODEL])
    assert said.output.startswith("Nothing differs: ")
    patient = before.record.images["patient_id"].iloc[0]
    (model,) = trace(project, patient=patient).sources[0].models
    assert model.revisions == (git("rev-parse", "HEAD").strip(),)


def test_a_model_is_found_by_its_bytes(project, tmp_path):
    shutil.copy(MODEL, tmp_path / "mine.keras")
    assert judged(str(tmp_path / "mine.keras"))[0].passed
