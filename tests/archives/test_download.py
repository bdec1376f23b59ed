import hashlib
import io
import os
import resource
import shutil
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassbox.archives import download as room
from glassbox.archives import zip as zips
from glassbox.archives.download import download
from glassbox.archives.errors import ArchiveError
from glassbox.artifacts import archive as record
from glassbox.artifacts import document, members
from glassbox.params.sources import ArchiveSource, PhantomSource
from glassbox.phantoms import archive as phantom

#: Of the source `films`.
ZIP, RECORD = record.path("films"), record.record_path("films")
PHANTOMS = PhantomSource(kind="phantom", layout="nih", seed=3, patients=4, size=32)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's own zip, outside of the project."""
    path = tmp_path / "own.zip"
    with zipfile.ZipFile(path, "w") as films:
        films.writestr("Data_Entry_2017.csv", "Image Index\n")
        films.writestr("images/00000001_000.png", os.urandom(3000))
    return path


def _archive(path: Path, sha256: str | None = None) -> ArchiveSource:
    found = hashlib.sha256(path.read_bytes()).hexdigest() if sha256 is None else sha256
    return ArchiveSource(kind="archive", layout="nih", path=path, sha256=found)


def _written(project: Path) -> list[str]:
    return sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())


def _written_bytes(project: Path) -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in _written(project)}


def test_a_users_zip_is_copied_and_never_hard_linked(project: Path, own: Path) -> None:
    own.chmod(0o644)
    download(_archive(own), "films")
    copy = ZIP
    assert copy.read_bytes() == own.read_bytes()
    assert copy.stat().st_ino != own.stat().st_ino
    assert own.stat().st_nlink == copy.stat().st_nlink == 1
    # What DVC does to files of its own must not reach the user's.
    copy.chmod(0o444)
    assert stat.S_IMODE(own.stat().st_mode) == 0o644
    before = copy.read_bytes()
    with own.open("ab") as stream:
        stream.write(b"more")
    assert copy.read_bytes() == before


def test_what_an_archive_is_stands_in_the_metrics_and_its_members_in_their_index(project: Path, own: Path) -> None:
    download(_archive(own), "films")
    sha256, listed = (
        hashlib.sha256(own.read_bytes()).hexdigest(),
        zips.verify(own, zips.members(own), label="again"),
    )
    assert document.read(RECORD, "download@films") == {
        "kind": "archive",
        "bytes": own.stat().st_size,
        "sha256": sha256,
        "members": 2,
        "members_sha256": members.contents((one.name, one.sha256) for one in listed),
        "files": [{"suffix": ".csv", "members": 1}, {"suffix": ".png", "members": 1}],
    }
    assert members.read("films") == (listed, sha256)
    assert _written(project) == [
        "data/archives/films.members.parquet",
        "data/archives/films.zip",
        "metrics/sources/films.json",
    ]


def test_a_generated_archive_is_the_one_that_the_phantom_writes(project: Path, tmp_path: Path) -> None:
    download(PHANTOMS, "films")
    phantom.write(PHANTOMS, tmp_path / "again.zip")
    assert ZIP.read_bytes() == (tmp_path / "again.zip").read_bytes()
    described = document.read(RECORD, "download@films")
    with zipfile.ZipFile(tmp_path / "again.zip") as again:
        assert described["members"] == len(again.namelist())
    assert described["kind"] == "phantom"


def test_an_archive_with_another_hash_is_refused_and_nothing_is_written(project: Path, own: Path) -> None:
    with pytest.raises(ArchiveError) as refusal:
        download(_archive(own, "0" * 64), "films")
    found = hashlib.sha256(own.read_bytes()).hexdigest()
    assert refusal.value.found == f"sources.films: {own} has sha256 {found}"
    assert refusal.value.expected == f"sha256 {'0' * 64}"
    assert "set sources.films.sha256 to what was found" in refusal.value.action
    assert _written(project) == []


def test_an_archive_that_is_not_there_is_refused_and_nothing_is_written(project: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as refusal:
        download(_archive(tmp_path / "none.zip", "0" * 64), "films")
    assert refusal.value.found == f"sources.films: there is no file {tmp_path / 'none.zip'}"
    assert "sources.films.path=WHERE_IT_IS" in refusal.value.action
    assert _written(project) == []


def test_a_zip_that_was_cut_is_refused_and_nothing_is_written(project: Path, own: Path) -> None:
    own.write_bytes(own.read_bytes()[:-60])
    with pytest.raises(ArchiveError, match="is no readable zip"):
        download(_archive(own), "films")
    assert _written(project) == []


def test_a_refusal_leaves_the_archive_of_before(project: Path, own: Path) -> None:
    download(_archive(own), "films")
    before = _written_bytes(project)
    with pytest.raises(ArchiveError):
        download(_archive(own, "0" * 64), "films")
    assert _written_bytes(project) == before


def test_a_damaged_member_of_a_users_zip_is_refused_by_name_and_not_listed(project: Path, own: Path) -> None:
    content = bytearray(own.read_bytes())
    content[zips.members(own)[1].offset + 200] ^= 1
    own.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"films\.zip: member 'images/00000001_000\.png' has another CRC-32"):
        download(_archive(own), "films")
    assert not members.path("films").exists()
    assert not RECORD.exists()


# --- what a re-run keeps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["there", "gone", "damaged", "of another zip"])
def test_a_re_run_verifies_the_copy_and_needs_the_original_no_more(
    index: str, project: Path, own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    download(settings := _archive(own), "films")
    before, inode = _written_bytes(project), ZIP.stat().st_ino
    own.unlink()
    if index == "there":
        monkeypatch.setattr(zips, "verify", None)  # no member is read again
    elif index == "gone":
        members.path("films").unlink()
    elif index == "damaged":
        members.path("films").write_bytes(before[str(members.path("films"))][:-9])
    else:
        members.write("films", [], "0" * 64)
    download(settings, "films")
    assert _written_bytes(project) == before
    assert ZIP.stat().st_ino == inode
    assert f"{ZIP}: verified, sha256 {settings.sha256}" in capfd.readouterr().out


def test_a_damaged_copy_is_made_anew(project: Path, own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    download(_archive(own), "films")
    before = _written_bytes(project)
    ZIP.write_bytes(b"damaged")
    download(_archive(own), "films")
    assert _written_bytes(project) == before
    assert f"copying {own}" in capfd.readouterr().err


def test_a_copy_that_links_to_a_cache_is_replaced_but_never_written_through(
    project: Path, own: Path, tmp_path: Path
) -> None:
    download(_archive(own), "films")
    cached = tmp_path / "cached"
    os.link(ZIP, cached)
    cached.chmod(0o444)
    before = cached.read_bytes()
    with zipfile.ZipFile(own, "a") as films:
        films.writestr("images/00000002_000.png", b"more")
    download(_archive(own), "films")
    assert ZIP.read_bytes() == own.read_bytes() != before
    assert cached.read_bytes() == before


def test_generated_films_are_drawn_anew(project: Path) -> None:
    download(PHANTOMS, "films")
    before = _written_bytes(project)
    ZIP.write_bytes(b"damaged")
    download(PHANTOMS, "films")
    assert _written_bytes(project) == before


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024, 9_000_001], ids=["empty", "a byte", "a block", "blocks"])
def test_all_sums_and_the_copy_come_from_one_reading(size: int, tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(size)
    (tmp_path / "file").write_bytes(content)
    copy = io.BytesIO()
    md5, sha256 = room.checksums(tmp_path / "file", "md5", "sha256", copy=copy)
    assert md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert copy.getvalue() == content


# --- how it is copied --------------------------------------------------------------------------------------


def test_a_zip_is_read_once_while_it_is_copied(project: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    summed = room.checksums

    def spy(path: Path, *algorithms: str, **options: Any) -> list[str]:
        read.append(path)
        return summed(path, *algorithms, **options)

    monkeypatch.setattr(room, "checksums", spy)
    download(_archive(own), "films")
    assert len(read) == 1


def test_a_copy_that_the_disk_cannot_take_is_refused_and_nothing_is_left(project: Path, own: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file of this process may grow beyond this: the write itself fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ArchiveError) as refusal:
            download(_archive(own), "films")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refusal.value.found.endswith("cannot be copied to data/archives/films.zip: File too large")
    assert _written(project) == []


def test_a_copy_for_which_there_is_no_room_is_not_begun(
    project: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = shutil.disk_usage(project)._replace(free=own.stat().st_size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    with pytest.raises(ArchiveError, match=r"cannot be copied to data/archives/films\.zip: No space left"):
        download(_archive(own), "films")
    assert _written(project) == []
