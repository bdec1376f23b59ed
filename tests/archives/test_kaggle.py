"""Who signs in, what is said when nobody can, and that no secret leaves the module."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from builders import write_code
from loopback_kaggle import (
    ENDPOINT,
    KEY,
    SIGNATURE,
    TOKEN,
    USER,
    cut,
    page,
    stalled,
    status,
    storage_status,
    trickling,
)

from glassbox.archives.errors import ArchiveError
from glassbox.archives.kaggle import credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.params.sources import KaggleSource

ROOT = Path(__file__).resolve().parents[2]
BEARER, BASIC = f"Bearer {TOKEN}", "Basic YWxpY2U6azN5MGZUaGVUZXN0cw=="
LOGIN = {"username": USER, "key": KEY}


def _write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def _oauth(home: Path) -> None:
    later = datetime.now(UTC) + timedelta(hours=5)
    found = {"refresh_token": "r", "access_token": TOKEN, "username": "alice"}
    _write(
        home / ".kaggle" / "credentials.json", json.dumps(found | {"access_token_expiration": later.isoformat()})
    )


# --- the ways to sign in -----------------------------------------------------------------------------------

#: What is set and written -> what `credentials` says, with HOME for the home folder; and what Kaggle gets to see.
WAYS = [
    pytest.param({"KAGGLE_API_TOKEN": TOKEN}, {}, "KAGGLE_API_TOKEN", BEARER, id="token"),
    pytest.param({"KAGGLE_API_TOKEN": "HOME/t"}, {"t": f"{TOKEN}\n"}, "KAGGLE_API_TOKEN", BEARER, id="token file"),
    pytest.param({}, {".kaggle/access_token": TOKEN}, "access_token in HOME/.kaggle", BEARER, id="access_token"),
    pytest.param(
        {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY},
        {},
        "KAGGLE_USERNAME and KAGGLE_KEY",
        BASIC,
        id="variables",
    ),
    pytest.param({}, {".kaggle/kaggle.json": LOGIN}, "kaggle.json in HOME/.kaggle", BASIC, id="kaggle.json"),
    pytest.param(
        {},
        {".config/kaggle/kaggle.json": LOGIN},
        "kaggle.json in HOME/.config/kaggle",
        BASIC,
        id="kaggle.json, .config",
    ),
    pytest.param(
        {"XDG_CONFIG_HOME": "HOME/x"},
        {"x/kaggle/kaggle.json": LOGIN},
        "kaggle.json in HOME/x/kaggle",
        BASIC,
        id="XDG",
    ),
    pytest.param(
        {"KAGGLE_CONFIG_DIR": "HOME/c"},
        {"c/kaggle.json": LOGIN},
        "kaggle.json in HOME/c",
        BASIC,
        id="KAGGLE_CONFIG_DIR",
    ),
    pytest.param(
        {"KAGGLE_USERNAME": USER},
        {".kaggle/kaggle.json": {"username": "bob", "key": KEY}},
        "KAGGLE_USERNAME and kaggle.json in HOME/.kaggle",
        BASIC,
        id="variables before the file",
    ),
    pytest.param(
        {"KAGGLE_API_TOKEN": TOKEN, "KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY},
        {".kaggle/kaggle.json": LOGIN},
        "KAGGLE_API_TOKEN",
        BEARER,
        id="token before a user and key",
    ),
]


@pytest.mark.parametrize(("variables", "files", "way", "header"), WAYS)
def test_each_way_to_sign_in_is_named_and_used(
    *, variables, files, way, header, kaggle, fetch, unimported, monkeypatch
) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    kaggle.token, kaggle.basic = TOKEN, (USER, KEY)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("HOME", str(unimported)))
    for name, content in files.items():
        _write(unimported / name, content if isinstance(content, str) else json.dumps(content))
    assert credentials()[0] == way.replace("HOME", str(unimported))
    fetch()
    seen = {request.name: request.headers.get("Authorization") for request in kaggle.requests}
    assert seen["GetDataset"] == seen["DownloadDataset"] == header
    assert [value for name, value in seen.items() if "archive.zip" in name] == [None], "the storage host sees none"


def test_the_browser_sign_in_of_kaggles_command_is_named_and_used(kaggle, fetch, unimported, monkeypatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    _oauth(unimported)
    assert credentials() == [f"credentials.json in {unimported}/.kaggle"]
    fetch()
    assert {request.headers.get("Authorization") for request in kaggle.requests[:2]} == {BEARER}


def test_of_two_ways_the_first_is_taken_and_said(kaggle, fetch, monkeypatch, capfd) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    fetch()
    said = "signing in with KAGGLE_API_TOKEN, which goes before KAGGLE_USERNAME and KAGGLE_KEY"
    assert said in capfd.readouterr().err


def test_a_token_that_kaggle_does_not_know_hides_a_valid_user_and_key_and_that_is_said(
    kaggle, fetch, disk, monkeypatch
) -> None:
    kaggle.basic = (USER, KEY)
    monkeypatch.setenv("KAGGLE_API_TOKEN", "0utdated")
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    assert refusal.value.found.endswith(": Kaggle does not accept the credentials of KAGGLE_API_TOKEN")
    assert refusal.value.action.endswith(", or unset it to use KAGGLE_USERNAME and KAGGLE_KEY")
    assert disk() == {}


@pytest.mark.parametrize("variables", [{}, {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": ""}], ids=["none", "empty key"])
def test_without_credentials_the_ways_to_give_them_are_named(
    *, variables, kaggle, fetch, disk, monkeypatch, capfd
) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert credentials() == []
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    assert "no credentials for Kaggle" in refusal.value.found
    assert ("KAGGLE_KEY is set but empty" in refusal.value.found) == bool(variables)
    for way in ("KAGGLE_API_TOKEN", "access_token", "KAGGLE_USERNAME", "kaggle.json", "kaggle auth login"):
        assert way in refusal.value.expected
    assert "https://www.kaggle.com/settings/api" in refusal.value.action
    assert kaggle.requests == []
    assert disk() == {}
    assert capfd.readouterr() == ("", "")


def test_credentials_that_expired_in_the_browser_are_refused_without_the_clients_exit(
    *, kaggle, fetch, disk, unimported, monkeypatch, capfd
) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    _write(
        unimported / ".kaggle" / "credentials.json", json.dumps({"refresh_token": "0utdated", "username": "alice"})
    )
    with pytest.raises(ArchiveError, match=r"does not accept the credentials of credentials\.json in "):
        fetch()
    assert disk() == {}
    assert capfd.readouterr() == ("", "")


def test_a_home_that_cannot_be_written_is_said_with_the_way_around(
    *, kaggle, fetch, disk, unimported, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    assert "Kaggle's client cannot make its folder /dev/null" in refusal.value.found
    assert refusal.value.action.startswith("set KAGGLE_CONFIG_DIR to a folder that is there")
    assert disk() == {}
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    fetch()
    assert "data/archives/films.zip" in disk()


def test_a_key_that_others_can_read_is_warned_of(kaggle, fetch, unimported, monkeypatch, capfd) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    kaggle.token, kaggle.basic = None, (USER, KEY)
    _write(unimported / ".kaggle" / "kaggle.json", json.dumps(LOGIN)).chmod(0o644)
    fetch()
    assert "Your Kaggle API key is readable by other users" in capfd.readouterr().err


# --- secrets -----------------------------------------------------------------------------------------------


def _told(error: BaseException | None) -> str:
    """All that an error can tell: its texts and those of everything that it came from."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("faults", "storage_faults"),
    [
        pytest.param([status(401, f"no {TOKEN}")], [], id="401"),
        pytest.param([status(403, f"no {TOKEN}")], [], id="403"),
        pytest.param([None, status(404)], [], id="404"),
        pytest.param([page], [], id="a page instead of an answer"),
        pytest.param([None, page], [], id="a page instead of an archive"),
        pytest.param([], [storage_status(403)] * 9, id="expired for good"),
        pytest.param([], [storage_status(404)], id="storage 404"),
        pytest.param([], [storage_status(503)] * 9, id="storage 503"),
        pytest.param([], [cut(9_000), storage_status(416)] + [cut(0)] * 9, id="cut for good"),
        pytest.param([], [stalled(0, 9)] * 9, id="stalled for good"),
    ],
)
def test_no_message_log_or_file_holds_a_token_or_a_signed_address(
    *, faults, storage_faults, kaggle, fetch, disk, capfd, caplog
) -> None:
    caplog.set_level(logging.DEBUG)
    kaggle.faults += faults
    kaggle.storage_faults += storage_faults
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    told = [_told(refusal.value), *capfd.readouterr(), caplog.text, *map(repr, disk().items())]
    assert TOKEN not in "".join(told)
    assert SIGNATURE not in "".join(told)


def test_no_secret_is_told_of_a_storage_host_that_is_not_there(kaggle, fetch, monkeypatch, capfd) -> None:
    nowhere = f"http://127.0.0.1:1/archive.zip?X-Goog-Signature={SIGNATURE}"
    monkeypatch.setattr(kaggle, "_link", lambda *_: nowhere)
    with pytest.raises(ArchiveError, match=r"no connection to 127\.0\.0\.1 \(Conn.*\), and 4 attempts") as refusal:
        fetch()
    assert SIGNATURE not in _told(refusal.value) + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "token", [f"{TOKEN}\nx", f"{TOKEN}\N{SNOWMAN}", TOKEN * 100], ids=["two lines", "no ASCII", "long"]
)
def test_no_secret_is_told_of_a_malformed_token(*, token, kaggle, fetch, disk, monkeypatch, capfd) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    assert TOKEN not in _told(refusal.value) + "".join(capfd.readouterr())
    assert disk() == {}


# --- the stage itself --------------------------------------------------------------------------------------


def _stage(project: Path, source: KaggleSource, environment: dict[str, str]) -> subprocess.Popen[str]:
    """The real stage of a source `films`, in a project whose code is this one."""
    if not (project / "src").exists():
        (project / "src").symlink_to(ROOT / "src")
        (project / "params.yaml").write_text(
            yaml.safe_dump({"sources": {"films": source.model_dump(mode="json")}})
        )
        write_code("download")
    paths = os.pathsep.join((str(ENDPOINT), "src"))
    return subprocess.Popen(
        [sys.executable, str(ROOT / "stages" / "download.py"), "films"],
        cwd=project,
        env=os.environ | environment | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 150
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_stage_that_is_killed_in_the_middle_goes_on_where_it_was(kaggle, pinned, project, disk) -> None:
    kaggle.storage_faults += [trickling(0.1)]
    # In its verbose mode the client prints all it sends.
    environment = kaggle.environment() | {"VERBOSE": "true"}
    stage = _stage(project, pinned(), environment)
    _until(lambda: any(path.stat().st_size > 50_000 for path in project.rglob("archive.zip.part")))
    stage.send_signal(signal.SIGKILL)
    killed, _ = stage.communicate()
    (part,) = project.rglob("archive.zip.part")
    have = part.stat().st_size
    assert part.read_bytes() == kaggle.blob[:have]
    assert 50_000 < have < len(kaggle.blob)

    stage = _stage(project, pinned(), environment)
    done, _ = stage.communicate(timeout=150)
    assert stage.returncode == 0, done
    assert kaggle.stored() == [None, f"bytes={have}-"]
    assert (project / "data/archives/films.zip").read_bytes() == kaggle.blob
    assert not list(project.rglob("archive.zip.part*"))
    for text in (killed, done, *map(repr, disk().items())):
        assert TOKEN not in text
        assert SIGNATURE not in text
