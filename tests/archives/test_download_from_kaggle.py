"""What a re-run keeps, what it fetches anew, what it refuses, and what a kill leaves."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import zipfile
from pathlib import Path

import killed
import pytest
from loopback_kaggle import cut

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.artifacts import document, members

ZIP, INDEX, RECORD = "data/archives/films.zip", "data/archives/films.members.parquet", "metrics/sources/films.json"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _forget_credentials(monkeypatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN")


# --- what is recorded --------------------------------------------------------------------------------------


def test_the_record_says_what_the_zip_is_and_where_it_came_from(kaggle, fetch, disk) -> None:
    fetch()
    listed = zips.verify(Path(ZIP), zips.members(Path(ZIP)), label="again")
    assert document.read(Path(RECORD), "download@films") == {
        "kind": "kaggle",
        "ref": "alice/chest-films",
        "version": 3,
        "licence": "CC0-1.0",
        "bytes": len(kaggle.blob),
        "sha256": _sha256(kaggle.blob),
        "members": 11,
        "members_sha256": members.contents((one.name, one.sha256) for one in listed),
        "files": [{"suffix": ".csv", "members": 1}, {"suffix": ".png", "members": 10}],
    }
    assert members.read("films") == (listed, _sha256(kaggle.blob))


def test_a_second_download_writes_the_same_bytes(kaggle, fetch, disk) -> None:
    fetch()
    first = disk()
    Path(ZIP).unlink()
    Path(INDEX).unlink()
    fetch()
    assert disk() == first
    assert len(kaggle.stored()) == 2


# --- what is kept ------------------------------------------------------------------------------------------


def test_a_re_run_verifies_the_zip_that_is_there_and_asks_nobody(kaggle, fetch, disk, capfd, monkeypatch) -> None:
    fetch()
    first, asked = disk(), len(kaggle.requests)
    _forget_credentials(monkeypatch)
    Path(INDEX).unlink()
    fetch()
    assert disk() == first
    assert len(kaggle.requests) == asked
    assert capfd.readouterr().out.endswith(f"{ZIP}: verified, sha256 {_sha256(kaggle.blob)}\n")


def test_a_zip_that_is_a_read_only_link_to_a_cache_is_verified_and_replaced_but_never_written_through(
    kaggle, fetch, tmp_path, zipped
) -> None:
    fetch()
    cached = tmp_path / "cached"
    os.link(ZIP, cached)
    cached.chmod(0o444)
    fetch()
    before = cached.read_bytes()
    kaggle.version, kaggle.blob = 4, zipped(seed=4)
    fetch(version=4)
    assert Path(ZIP).read_bytes() == kaggle.blob
    assert cached.read_bytes() == before != kaggle.blob


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:150_000] + b"\0" + data[150_001:], id="a byte"),
        pytest.param(lambda data: data[:-1], id="cut"),
    ],
)
def test_a_damaged_zip_is_not_kept(damage, kaggle, fetch, disk, capfd) -> None:
    fetch()
    damaged = damage(kaggle.blob)
    Path(ZIP).write_bytes(damaged)
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert len(kaggle.stored()) == 2
    found, wanted = _sha256(damaged), _sha256(kaggle.blob)
    assert f"{ZIP} has sha256 {found}, not {wanted}: fetching it anew" in capfd.readouterr().err


@pytest.mark.parametrize("changes", [{"version": 2}, {"ref": "bob/chest-films"}])
def test_another_version_or_dataset_is_fetched_though_a_zip_is_there(changes, kaggle, fetch, disk, zipped) -> None:
    fetch()
    kaggle.blob = zipped(seed=5)
    fetch(**changes)
    assert disk()[ZIP] == kaggle.blob
    assert changes.items() <= json.loads(disk()[RECORD]).items()


def test_a_refused_download_leaves_the_archive_of_before(kaggle, fetch, disk) -> None:
    fetch()
    before = disk()
    kaggle.storage_faults += [cut(100_000), *[cut(0)] * 4]
    with pytest.raises(ArchiveError):
        fetch(version=2)
    after = disk()
    assert {name: after[name] for name in before} == before


def test_unfinished_work_of_this_source_is_removed_and_of_no_other(kaggle, fetch, disk) -> None:
    own, other = (Path("work/download") / name for name in ("films-0123456789ab", "films-b-0123456789ab"))
    for folder in (own, other):
        folder.mkdir(parents=True)
        (folder / "archive.zip.part").write_bytes(b"begun")
    fetch()
    assert set(disk()) == {ZIP, INDEX, RECORD, f"{other}/archive.zip.part"}


# --- which version -----------------------------------------------------------------------------------------


def test_a_source_without_a_version_is_refused_and_the_newest_is_named(kaggle, fetch, disk) -> None:
    with pytest.raises(ArchiveError) as refusal:
        fetch(version=None)
    assert refusal.value.found == "sources.films: kaggle:alice/chest-films: no version is given"
    assert refusal.value.expected.endswith("3 is the newest today")
    assert refusal.value.action.startswith("write `version: 3` under sources.films in params.yaml")
    assert kaggle.stored() == []
    assert disk() == {}


def test_a_version_that_is_not_there_yet_is_refused(kaggle, fetch, disk) -> None:
    with pytest.raises(ArchiveError) as refusal:
        fetch(version=4)
    assert refusal.value.found == "sources.films: kaggle:alice/chest-films version 4: there is no such version"
    assert refusal.value.expected == "one that is there; 3 is the newest today"
    assert disk() == {}


def test_the_pinned_version_is_asked_for(kaggle, fetch) -> None:
    fetch(version=2)
    (asked,) = (request.body for request in kaggle.requests if request.name == "DownloadDataset")
    assert asked == {"ownerSlug": "alice", "datasetSlug": "chest-films", "datasetVersionNumber": 2}


# --- what a record of before is held against ---------------------------------------------------------------


def test_the_same_files_packed_anew_are_taken_and_said(kaggle, fetch, disk, zipped, capfd) -> None:
    fetch()
    recorded = json.loads(disk()[RECORD])
    Path(ZIP).unlink()
    kaggle.blob = zipped(method=zipfile.ZIP_DEFLATED)
    fetch()
    now = json.loads(disk()[RECORD])
    assert now["sha256"] == _sha256(kaggle.blob) != recorded["sha256"]
    assert now["members_sha256"] == recorded["members_sha256"]
    assert disk()[ZIP] == kaggle.blob
    error = capfd.readouterr().err
    assert f"packed the same files anew: sha256 {now['sha256']}, not {recorded['sha256']}" in error
    assert f"commit {RECORD} as it is now" in error


def test_other_files_under_the_same_version_are_refused_until_the_record_is_deleted(
    kaggle, fetch, disk, zipped
) -> None:
    fetch()
    recorded = json.loads(disk()[RECORD])
    Path(ZIP).unlink()
    before = disk()
    kaggle.blob = zipped(seed=9)
    for _ in range(2):
        with pytest.raises(ArchiveError) as refusal:
            fetch()
    assert "Kaggle now has other files under this version, 11 with the digest " in refusal.value.found
    assert refusal.value.expected == f"11 with the digest {recorded['members_sha256']}, as {RECORD} says"
    assert f"delete {RECORD} and run `dvc repro` again: what was fetched is kept" in refusal.value.action
    after = disk()
    assert {name: after[name] for name in before} == before
    assert ZIP not in after

    Path(RECORD).unlink()
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert len(kaggle.stored()) == 2, "what was fetched was not fetched again"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda record: b"<<<<<<< HEAD\n" + record, id="in a merge"),
        pytest.param(lambda record: record.replace(b"CC0-1.0", b"CC-BY-1"), id="edited by hand"),
    ],
)
@pytest.mark.parametrize("zip_", ["there", "gone"])
def test_with_a_damaged_record_no_zip_is_believed_and_none_fetched(zip_, change, kaggle, fetch, disk) -> None:
    """What Kaggle has under the version by now, other files even, would else be recorded without a word."""
    fetch()
    Path(RECORD).write_bytes(change(disk()[RECORD]))
    if zip_ == "gone":
        Path(ZIP).unlink()
    before, asked = disk(), len(kaggle.requests)
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    assert refusal.value.found == f"{RECORD} is damaged"
    assert refusal.value.action.startswith(f"run `git checkout {RECORD}`, or delete it to take what Kaggle has")
    assert disk() == before
    assert len(kaggle.requests) == asked


def test_a_record_that_was_edited_with_its_digest_does_not_hide_other_files(kaggle, fetch, disk, zipped) -> None:
    fetch()
    made = document.read(Path(RECORD), "download@films")
    document.write(Path(RECORD), made | {"sha256": "0" * 64, "members_sha256": "1" * 64}, "download@films")
    with pytest.raises(ArchiveError, match="Kaggle now has other files under this version"):
        fetch()
    document.write(Path(RECORD), made | {"members_sha256": "1" * 64, "bytes": 9}, "download@films")
    fetch()
    assert document.read(Path(RECORD), "download@films") == made, "it says what the zip is"


# --- kills -------------------------------------------------------------------------------------------------


class _KilledError(BaseException):
    """Nothing catches it."""


def _die(*_: object) -> None:
    raise _KilledError


def _killed_before_the_index(fetch, monkeypatch) -> None:
    """Downloads until the zip has its name; its index is still to be written."""
    with monkeypatch.context() as patch:
        patch.setattr(members, "write", _die)
        with pytest.raises(_KilledError):
            fetch()


def test_a_kill_right_after_the_zip_got_its_name_costs_no_second_transfer(
    kaggle, fetch, disk, monkeypatch
) -> None:
    _killed_before_the_index(fetch, monkeypatch)
    left = disk()
    assert left[ZIP] == kaggle.blob
    assert INDEX not in left
    fetch()
    assert len(kaggle.stored()) == 1
    assert set(disk()) == {ZIP, INDEX, RECORD}


def test_a_zip_that_broke_after_such_a_kill_is_not_believed(kaggle, fetch, disk, monkeypatch) -> None:
    _killed_before_the_index(fetch, monkeypatch)
    Path(ZIP).write_bytes(bytes(len(kaggle.blob)))
    fetch()
    assert len(kaggle.stored()) == 2
    assert disk()[ZIP] == kaggle.blob


def test_work_and_data_may_lie_on_two_file_systems(kaggle, fetch, disk, monkeypatch) -> None:
    rename = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.parts[0] == "work" and Path(target).parts[0] == "data":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert set(disk()) == {ZIP, INDEX, RECORD}


def test_a_zip_that_cannot_get_its_name_is_kept_whole(kaggle, fetch, disk) -> None:
    Path("data").write_bytes(b"a file where a folder should be")
    with pytest.raises(ArchiveError) as refusal:
        fetch()
    assert refusal.value.found == f"{ZIP} cannot be written: Not a directory"
    assert refusal.value.action.endswith("nothing is fetched twice")
    Path("data").unlink()
    fetch()
    assert len(kaggle.stored()) == 1
    assert disk()[ZIP] == kaggle.blob


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_at_any_moment_costs_no_byte_that_was_there(
    *, step, kaggle, pinned, fetch, disk, project, monkeypatch
) -> None:
    """The download is killed before the first of its file operations, a later one, and so on until it ends."""
    monkeypatch.setenv("PYTHONPATH", str(Path(killed.__file__).parent), prepend=os.pathsep)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed"])
    environment = kaggle.environment() | {"KAGGLE_API_TOKEN": os.environ["KAGGLE_API_TOKEN"]}
    for operation in range(1, 500, step):
        process = context.Process(
            target=killed.downloaded, args=(pinned(), project, environment, operation), daemon=True
        )
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        left = disk()
        (part,) = [data for name, data in left.items() if name.endswith(".part")] or [b""]
        asked = len(kaggle.stored())
        fetch()
        again = kaggle.stored()[asked:]
        if left.get(ZIP) == kaggle.blob or part == kaggle.blob:
            assert again == [], f"killed before operation {operation}, it fetched a whole zip again"
        else:
            assert again == [f"bytes={len(part)}-" if part else None]
        assert set(disk()) == {ZIP, INDEX, RECORD}
        assert disk()[ZIP] == kaggle.blob
        assert json.loads(disk()[RECORD])["sha256"] == _sha256(kaggle.blob)
        for name in (ZIP, INDEX, RECORD):
            Path(name).unlink()
    assert set(disk()) == {ZIP, INDEX, RECORD}
    assert 30 < operation < 100
