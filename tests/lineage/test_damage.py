"""Whatever is damaged, an audit ends with verdicts or with one message, and never passes."""

import shutil
from pathlib import Path

import pytest
import recorded
from recorded import judged, write
from tampering import agree, files

from glassbox.artifacts import table
from glassbox.errors import GlassboxError

GARBAGE = {
    "nothing": b"",
    "zeros": bytes(100),
    "no text": bytes(range(128, 256)),
    "a word": b"garbage",
    "a list": b"- 1\n- 2\n",
    "half a mapping": b"stages: {code: [",
    "brackets without end": b"[" * 2000,
    "null": b"null\n",
}


def refused_or_wrong():
    """What is said of a project that must not pass."""
    try:
        done, bad = judged()
    except GlassboxError as error:
        return str(error)
    assert not done.passed
    return "\n".join(f"{name}: {link.found}" for name, link in bad.items() if link.needed)


@pytest.fixture(scope="module")
def project(tmp_path_factory, recorded_once):
    """A copy of the recorded project, in which tests undo what they do; the working directory."""
    with recorded.inside(recorded.copy(recorded_once, tmp_path_factory.mktemp("damage") / "project")):
        yield


@pytest.fixture
def damaged(project):
    """`damaged(path, content)` changes a file until the test ends, or until `damaged.undo()`."""
    before = {}

    def change(path, content):
        before.setdefault(path, Path(path).read_bytes() if Path(path).exists() else None)
        write(path, content)

    def undo():
        for path, content in before.items():
            write(path, content or b"")
            if content is None:
                Path(path).unlink()
        before.clear()

    change.undo = undo
    yield change
    undo()


def tracked(path):
    """A file that a stage wrote."""
    return next(at for at in files(recorded.lock()) if at.path == path)


# --- what DVC and git hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", GARBAGE)
@pytest.mark.parametrize("path", ["dvc.lock", "dvc.yaml", "params.yaml", "uv.lock"])
def test_garbage_in_place_of_what_says_how_a_model_is_made_is_named(damaged, path, content):
    damaged(path, GARBAGE[content])
    assert path in refused_or_wrong()


@pytest.mark.parametrize("path", ["dvc.lock", "dvc.yaml", "params.yaml", "uv.lock"])
def test_what_says_how_a_model_is_made_is_named_where_it_is_gone(damaged, path):
    damaged(path, b"")
    Path(path).unlink()
    assert path in refused_or_wrong()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("path: data/splits/squares\n", "path: ../squares\n", "'../squares' is no path inside the project"),
        ("path: data/splits/squares\n", "path: /etc\n", "'/etc' is no path inside the project"),
        ("path: models/compact/history.csv\n", "path: models/compact/model.keras\n", "two stages wrote models/"),
        (
            "path: data/weights/none\n",
            "path: data/splits/squares/x\n",
            "into it: data/splits/squares/x",
        ),
        ("schema: '2.0'", "schema: '3.0'", "schema: Input should be '2.0'"),
    ],
)
def test_a_lock_that_dvc_cannot_have_written_is_refused(damaged, before, after, said):
    text = Path("dvc.lock").read_text()
    assert before in text
    damaged("dvc.lock", text.replace(before, after).encode())
    assert said in refused_or_wrong()


def test_stages_that_rest_on_each_other_are_refused(damaged):
    text = Path("dvc.lock").read_text()
    damaged("dvc.lock", text.replace("path: uv.lock\n", "path: models/compact/model.keras\n").encode())
    assert "rests on itself" in refused_or_wrong()


@pytest.mark.parametrize("content", ["nothing", "a word", "a list", "null"])
def test_garbage_in_place_of_a_folders_list_is_named(damaged, content):
    outs = [out for entry in recorded.lock().values() for out in entry["outs"]]
    md5 = next(out["md5"] for out in outs if out["path"] == "data/splits/squares")
    damaged(f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}", GARBAGE[content])
    assert "data/splits/squares: cache: " in refused_or_wrong()


def test_without_git_a_project_is_refused(recording):
    shutil.rmtree(".git")
    assert "is no DVC project" in refused_or_wrong()


# --- what stages wrote, recorded as it is ------------------------------------------------------------------


def one_of_a_kind(found):
    """A file of each format."""
    return {Path(at.path).suffix: at for at in found}.values()


def each_is_named(damaged, found, content):
    """Whichever of some files holds this, and is recorded so, is named."""
    for at in found:
        agree(at, content, damaged)
        said = refused_or_wrong()
        assert at.path in said or at.stage in said
        damaged.undo()
    assert judged()[0].passed


def test_garbage_that_was_recorded_is_named(damaged):
    each_is_named(damaged, one_of_a_kind(files(recorded.lock())), GARBAGE["a word"])


@pytest.mark.long
@pytest.mark.parametrize("content", GARBAGE)
@pytest.mark.parametrize("stage", recorded.STAGES)
def test_garbage_in_any_file_of_a_stage_that_was_recorded_is_named(damaged, stage, content):
    each_is_named(damaged, [at for at in files(recorded.lock()) if at.stage == stage], GARBAGE[content])


def test_there_are_no_other_stages(project):
    assert recorded.lock().keys() == set(recorded.STAGES)


@pytest.mark.parametrize("body", [b"PAR1", b"PAR1" + bytes(50) + b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b""])
@pytest.mark.parametrize("path", ["data/splits/squares/train.parquet", "data/archives/films.members.parquet"])
def test_a_table_of_garbage_with_a_right_digest_cannot_be_read(damaged, path, body):
    before = body + table._MARK
    agree(tracked(path), before + table._digest(before + table._BLANK, len(before)), damaged)
    assert "images of split squares: it cannot be read: Arrow" in refused_or_wrong()


# --- MLflow ------------------------------------------------------------------------------------------------


def test_a_store_of_garbage_is_refused(recording):
    Path("mlflow.db").write_bytes(b"garbage" * 1000)
    assert "mlflow.db cannot be used: DatabaseError: " in refused_or_wrong()
