"""The entry of a stage: no work with other packages or other code, and one message for a user's mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import builders
import h5py
import pytest
import yaml
from filelock import FileLock

from glassbox import stage
from glassbox.artifacts import code
from glassbox.artifacts.code import Code
from glassbox.errors import GlassboxError
from glassbox.paths import PARAMS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with this one's code, and parameters of one source; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    builders.parameters(builders.document())
    builders.write_code("download", "compare", "recipe")
    return tmp_path


@pytest.fixture
def enter(monkeypatch):
    """Enters the download stage with the key `films`; what it worked on."""

    def run(work=None):
        begun = []
        monkeypatch.setattr(sys, "argv", ["download.py", "films"])
        stage.enter("download", work or begun.append)
        return begun

    return run


@pytest.fixture
def refused(enter):
    """Enters it in vain; the text it ended with, which the interpreter prints before it ends with status 1."""

    def run(work=lambda _: pytest.fail("the stage began to work")):
        with pytest.raises(SystemExit) as ended:
            enter(work)
        assert isinstance(ended.value.code, str)
        return ended.value.code

    return run


def process(*words):
    return subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_stage_gets_the_key_that_it_was_called_with(project, enter):
    assert enter() == ["films"]


# --- what it runs with -------------------------------------------------------------------------------------


def test_other_packages_than_the_locked_ones_are_refused_with_the_command_that_brings_them(project, refused):
    locked = {"numpy": "1.0", "pyyaml": version("pyyaml"), "no-such-package": "2.0"}
    code.write("download", Code({}, locked))
    assert refused() == (
        f"download@films: numpy {version('numpy')} is installed, no-such-package is not installed\n"
        "  expected: numpy 1.0, no-such-package 2.0, as locked in uv.lock\n"
        "  next: run `uv sync`"
    )


def test_another_copys_modules_are_refused(project, refused):
    (project / "src").unlink()
    (project / "src/glassbox").mkdir(parents=True)
    said = refused()
    assert said.startswith(
        f"download@films: the code that runs lies in {ROOT / 'src'}\n  expected: {project / 'src'}"
    )
    assert said.endswith("next: run it again with PYTHONPATH=src")


def _edited(file):
    content = json.loads(file.read_text())
    content["packages"]["numpy"] = version("numpy")
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("damage", [Path.unlink, _edited, lambda file: file.write_text("{}")])
def test_a_code_file_that_is_missing_or_edited_is_refused_with_the_stage_that_makes_it(damage, project, refused):
    damage(code.path("download"))
    said = refused()
    assert said.startswith("download@films: data/code/download.json ")
    assert "as stage code wrote it" in said
    assert "dvc repro --force code" in said


def test_the_stage_that_writes_code_files_needs_none(project, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["code.py"])
    begun = []
    stage.enter("code", lambda *keys: begun.append(keys), keyed=False)
    assert begun == [()]


# --- how it ends -------------------------------------------------------------------------------------------


def test_a_user_s_mistake_ends_a_stage_with_status_1_one_message_and_no_traceback(project):
    builders.parameters(builders.document(experiments={"small": builders.experiment()}))
    with process(ROOT / "stages/recipe.py", "smal") as stage:
        stdout, stderr = stage.communicate(timeout=120)
    assert (stage.returncode, stdout) == (1, "")
    assert stderr == (
        "recipe@smal: params.yaml has no experiments.smal\n"
        "  expected: one of: small\n"
        "  next: name one of them, or compose the file anew with `glassbox use PROFILE`\n"
    )
    assert not (project / "data/recipes").exists()


def test_the_first_stage_refuses_a_typo_anywhere_before_it_writes_anything(project):
    values = builders.document(experiments={"small": builders.experiment(titel="x")})
    PARAMS.write_text(yaml.safe_dump(values))
    before = sorted(Path("data/code").iterdir())
    with process(ROOT / "stages/code.py") as stage:
        stdout, stderr = stage.communicate(timeout=120)
    assert (stage.returncode, stdout) == (1, "")
    assert stderr.startswith("code: params.yaml: experiments.small.titel: unknown key; allowed here: title, ")
    assert "Traceback" not in stderr
    assert sorted(Path("data/code").iterdir()) == before


@pytest.mark.parametrize("read", [Path.read_bytes, h5py.File], ids=["python", "hdf5"])
def test_a_file_of_an_earlier_stage_is_named_whoever_misses_it(read, project, refused):
    said = refused(lambda _: read(Path("data/x.bin")))
    assert said.startswith("download@films: ")
    assert "data/x.bin" in said.splitlines()[0]
    assert said.endswith("\n  expected: what the stages before this one make\n  next: run `dvc repro`")


def test_a_refusal_in_the_middle_of_the_work_gives_the_lock_back(project, refused):
    def refuse(key):
        raise GlassboxError("found this", "that", "do so")

    for _ in range(2):
        assert refused(refuse) == "download@films: found this\n  expected: that\n  next: do so"


def test_a_fault_of_the_code_keeps_its_traceback(project, enter):
    with pytest.raises(ZeroDivisionError):
        enter(lambda _: 1 / 0)


def test_a_second_process_waits_for_the_first_of_its_key_and_says_so(project):
    Path("enter.py").write_text(
        "from glassbox.stage import enter\nenter('download', lambda key: print('begun', flush=True))\n"
    )
    held = FileLock("work/locks/download@films.lock")
    held.acquire(timeout=0)
    with process("enter.py", "films") as second, process("enter.py", "others") as other:
        assert other.communicate(timeout=120) == ("begun\n", ""), "another key waits for nobody"
        assert second.stderr.readline().startswith("stage download@films is still running in another process")
        assert second.poll() is None
        held.release()
        assert second.communicate(timeout=120)[0] == "begun\n"
