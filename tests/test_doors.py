import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import h5py
import pyarrow.parquet as pq
import pytest
import yaml
from filelock import FileLock, Timeout

from glassbox import doors
from glassbox.errors import ArchiveError
from glassbox.params import Params

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one source of films, which is the working directory."""
    films = {"kind": "phantom", "layout": "nih", "seed": 1, "patients": 2, "size": 32}
    values = {"profile": "test", "sources": {"films": films}, "datasets": {}, "splits": {}, "weights": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values | {"experiments": {}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _stage(name: str, *keys: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "stages" / f"{name}.py", *keys],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _never(params: Params, key: str) -> NoReturn:
    raise AssertionError("the stage began to work")


def _message(capsys: pytest.CaptureFixture[str], ended: pytest.ExceptionInfo[SystemExit]) -> str:
    """What the interpreter prints for an exit with a text; its status is 1 then."""
    assert isinstance(ended.value.code, str)
    assert capsys.readouterr() == ("", "")
    return ended.value.code


def test_a_stage_gets_all_parameters_and_its_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    got = []

    def work(params: Params, key: str) -> None:
        got.append((params.profile, key))

    doors.enter("download", work, "sources")
    monkeypatch.setattr(sys, "argv", ["compare.py"])
    doors.enter("compare", work)
    assert got == [("test", "films"), ("test", "")]


def test_a_stage_works_alone_of_its_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    tried = []

    def work(params: Params, key: str) -> None:
        (held,) = Path("work/locks").iterdir()
        with pytest.raises(Timeout):
            FileLock(held).acquire(timeout=0)
        tried.append(held.name)

    doors.enter("download", work, "sources")
    assert tried == ["download@films.lock"]


def test_an_unknown_key_ends_a_stage_with_status_1_and_one_message(project: Path) -> None:
    result = _stage("download", "flims")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "download@flims: params.yaml has no sources.flims\n"
        "  expected: one of: films\n"
        "  next: name one of them, or compose the file anew with `glassbox use PROFILE`\n"
    )
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


def test_a_missing_input_ends_a_stage_with_status_1_and_one_message(project: Path) -> None:
    result = _stage("catalog", "films")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(
        "catalog@films: data/archives/films.zip is not there\n  expected: what the stages "
    )
    assert "Traceback" not in result.stderr
    assert not (project / "data").exists()
    assert not (project / "metrics").exists()


def test_missing_params_end_a_stage_before_it_works(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "params.yaml").unlink()
    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    with pytest.raises(SystemExit) as ended:
        doors.enter("download", _never, "sources")
    assert _message(capsys, ended) == (
        "download@films: params.yaml is not there\n"
        "  expected: the composed parameters in the project's root\n"
        "  next: run `glassbox use demo`"
    )
    assert list(project.iterdir()) == []


def test_wrong_params_end_a_stage_before_it_works(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("size: 32", "size: big"))
    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    with pytest.raises(SystemExit) as ended:
        doors.enter("download", _never, "sources")
    assert "download@films: params.yaml: sources.films.size: found 'big'" in _message(capsys, ended)


@pytest.mark.parametrize("read", [Path.read_bytes, pq.read_table, h5py.File], ids=["python", "parquet", "hdf5"])
def test_a_file_that_an_earlier_stage_should_have_made_is_named_whoever_misses_it(
    read: Callable[[Path], object],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(params: Params, key: str) -> None:
        read(Path("data/x.bin"))

    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    with pytest.raises(SystemExit) as ended:
        doors.enter("download", work, "sources")
    said = _message(capsys, ended)
    assert said.startswith("download@films: ")
    assert "data/x.bin" in said.splitlines()[0]
    assert said.endswith("\n  expected: what the stages before this one make\n  next: run `dvc repro`")


def test_a_refusal_in_the_middle_of_the_work_ends_with_its_message_and_frees_the_lock(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(params: Params, key: str) -> None:
        raise ArchiveError("found this", "that", "do so")

    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            doors.enter("download", refuse, "sources")
        assert _message(capsys, ended) == "download@films: found this\n  expected: that\n  next: do so"


def test_a_fault_of_the_code_keeps_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["download.py", "films"])
    with pytest.raises(AssertionError, match="the stage began to work"):
        doors.enter("download", _never, "sources")
