"""Kaggle on the loopback, and an empty project to download into."""

from __future__ import annotations

import io
import sys
import zipfile
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from kagglesdk import kaggle_env
from loopback_kaggle import TOKEN, LoopbackKaggle

from glassbox.archives.download import download
from glassbox.archives.transfer import Retries
from glassbox.params.sources import KaggleSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any credentials; returns the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def unimported(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the client not imported yet: that is when it looks for the home folder."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)
    return nobody


@pytest.fixture
def kaggle(project: Path, nobody: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackKaggle]:
    """Kaggle with one dataset of which version 3 is the newest, and a user whose token it knows."""
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    with LoopbackKaggle(zipped(), token=TOKEN) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.url)
        yield server


@dataclass
class Waits:
    """Four attempts, between which the waits are noted instead of waited for."""

    seconds: list[float] = field(default_factory=list)

    @property
    def retries(self) -> Retries:
        return Retries(connect=5.0, read=0.3, attempts=4, sleep=self.seconds.append)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def fetch(kaggle: LoopbackKaggle, pinned: Callable[..., KaggleSource], waits: Waits) -> Callable[..., None]:
    """`fetch(version=3)`: downloads the source that `pinned` makes."""
    return lambda **changes: download(pinned(**changes), "films", waits.retries)


@cache
def zipped(seed: int = 0, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of 300 kB, in NIH's layout as far as names go."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for number in range(10):
            content = bytes((number * 7 + at * at + seed) % 251 for at in range(30_000))
            archive.writestr(zipfile.ZipInfo(f"images_001/images/{number:08d}_000.png"), content, method)
        archive.writestr(zipfile.ZipInfo("Data_Entry_2017.csv"), b"Image Index\n", method)
    return buffer.getvalue()


@pytest.fixture(name="zipped")
def _zipped() -> Callable[..., bytes]:
    """`zipped(seed)`: other seeds make other content."""
    return zipped


@pytest.fixture
def pinned() -> Callable[..., KaggleSource]:
    """`pinned(version=3)`: a source of Kaggle's."""

    def make(**changes: Any) -> KaggleSource:
        source = {"kind": "kaggle", "layout": "nih", "ref": "alice/chest-films", "version": 3}
        return KaggleSource(**source | changes)

    return make


@pytest.fixture
def disk(project: Path) -> Callable[[], dict[str, bytes]]:
    """`disk()`: every file of the project with its content."""

    def read() -> dict[str, bytes]:
        files = (path for path in sorted(project.rglob("*")) if path.is_file())
        return {str(path.relative_to(project)): path.read_bytes() for path in files}

    return read
