"""The fault table: what a host can do to a download, what is said of it, and what is on disk afterwards."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

import pytest
from loopback_kaggle import (
    cut,
    declared,
    elsewhere,
    flipped,
    replaced,
    silent,
    stalled,
    status,
    storage_status,
)

from glassbox.archives.errors import ArchiveError

if TYPE_CHECKING:
    from loopback_kaggle import Fault

#: Length of the blob that `kaggle` serves.
SIZE = 301_588
ZIP, INDEX, RECORD = "data/archives/films.zip", "data/archives/films.members.parquet", "metrics/sources/films.json"
NAME = "sources.films: kaggle:alice/chest-films version 3"


def _part(disk: dict[str, bytes]) -> bytes | None:
    """The bytes of the part, if one is there."""
    parts = [content for name, content in disk.items() if name.endswith("/archive.zip.part")]
    assert len(parts) <= 1
    return parts[0] if parts else None


def _ranges(*starts: int) -> list[str | None]:
    return [f"bytes={start}-" if start else None for start in starts]


# --- what a download outlives ------------------------------------------------------------------------------

OUTLIVED = [
    pytest.param([], [], _ranges(0), [], "", id="nothing"),
    pytest.param([], [cut(100_000)], _ranges(0, 100_000), [1], "the connection was cut", id="cut"),
    pytest.param(
        [],
        [cut(20_000)] * 12,
        _ranges(*range(0, 260_000, 20_000)),
        [1] * 12,
        "the connection was cut; trying again in 1 s",
        id="cut again and again, but always further on",
    ),
    pytest.param([], [stalled(50_000, 9)], _ranges(0, 50_000), [1], "the host fell silent", id="stalled"),
    pytest.param([], [silent(9)], _ranges(0, 0), [1], "127.0.0.1 did not answer in time", id="storage silent"),
    pytest.param([silent(9)], [], _ranges(0), [1], "localhost did not answer in time", id="Kaggle silent"),
    pytest.param([status(500)], [], _ranges(0), [1], "Kaggle answers 500", id="500"),
    pytest.param([status(503), status(502)], [], _ranges(0), [1, 2], "Kaggle answers 503", id="503 and 502"),
    pytest.param(
        [status(429, Retry_After="7")],
        [],
        _ranges(0),
        [7],
        "Kaggle answers 429; trying again in 7 s, as it asks",
        id="429 with Retry-After",
    ),
    pytest.param([status(429)], [], _ranges(0), [1], "Kaggle answers 429", id="429 without Retry-After"),
    pytest.param(
        [status(429, Retry_After="soon")],
        [],
        _ranges(0),
        [1],
        "Kaggle answers 429",
        id="429 with a strange Retry-After",
    ),
    pytest.param(
        [],
        [cut(9_000), storage_status(503, Retry_After="5")],
        _ranges(0, 9_000, 9_000),
        [1, 5],
        "the storage host answers 503; trying again in 5 s, as it asks",
        id="storage 503 on resume",
    ),
    *(
        pytest.param(
            [],
            [cut(100_000), storage_status(code)],
            _ranges(0, 100_000, 100_000),
            [1, 1],
            f"the storage host does not take the link any more ({code})",
            id=f"link expired on resume ({code})",
        )
        for code in (400, 401, 403)
    ),
    pytest.param(
        [],
        [declared(SIZE + 500)],
        _ranges(0, SIZE, 0),
        [1, 1],
        "the host has nothing after the bytes that are there, which were removed",
        id="Content-Length too long",
    ),
    pytest.param([], [declared(-1)], _ranges(0), [], "", id="no Content-Length"),
    pytest.param(
        [],
        [cut(100_000), elsewhere(5)],
        _ranges(0, 100_000, 100_000),
        [1, 1],
        "the host sent another part of the file than asked for",
        id="another range than asked for",
    ),
    pytest.param(
        [],
        [cut(100_000), storage_status(416, Content_Range="bytes */99")],
        _ranges(0, 100_000, 0),
        [1, 1],
        "the host has nothing after the bytes that are there, which were removed",
        id="416 on resume",
    ),
]


@pytest.mark.parametrize(("faults", "storage_faults", "ranges", "seconds", "said"), OUTLIVED)
def test_a_download_outlives(
    *,
    faults: list[Fault],
    storage_faults: list[Fault],
    ranges: list[str | None],
    seconds: list[float],
    said: str,
    kaggle,
    fetch,
    waits,
    disk,
    capfd,
) -> None:
    kaggle.faults += faults
    kaggle.storage_faults += storage_faults
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert set(disk()) == {ZIP, INDEX, RECORD}
    assert not list(Path("work/download").iterdir())
    assert kaggle.stored() == ranges
    assert waits.seconds == seconds
    assert said in capfd.readouterr().err
    assert not any(request.headers.get("Range") for request in kaggle.requests if request.method == "POST")
    links = [request.name for request in kaggle.requests if request.method == "GET"]
    assert len(set(links)) == len(links), "each request has a link that was signed for it"


def test_a_host_is_waited_for_until_the_date_it_names(kaggle, fetch, waits) -> None:
    kaggle.faults += [status(429, Retry_After=formatdate(time() + 90, usegmt=True))]
    fetch()
    assert len(waits.seconds) == 1
    assert 80 < waits.seconds[0] <= 90


def test_a_host_without_an_etag_is_resumed_by_its_date(kaggle, fetch, disk) -> None:
    kaggle.tagged = False
    kaggle.storage_faults += [cut(100_000)]
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert [request.headers["If-Range"] for request in kaggle.requests if request.method == "GET"] == [
        None,
        kaggle.modified,
    ]


# --- what makes it start over ------------------------------------------------------------------------------


def test_a_file_that_changed_between_two_attempts_is_fetched_from_the_start(
    kaggle, fetch, disk, zipped, capfd
) -> None:
    first, second = kaggle.blob, zipped(seed=1)
    kaggle.storage_faults += [cut(100_000), replaced(second)]
    fetch()
    assert disk()[ZIP] == second != first
    assert kaggle.stored() == _ranges(0, 100_000)
    assert "the file changed on the host; starting over, 100,000 bytes are fetched again" in capfd.readouterr().err


def test_a_file_that_changed_between_two_runs_is_fetched_from_the_start(
    kaggle, fetch, disk, zipped, capfd
) -> None:
    kaggle.storage_faults += [cut(100_000), *[cut(0)] * 4]
    with pytest.raises(ArchiveError):
        fetch()
    assert _part(disk()) == kaggle.blob[:100_000]
    kaggle.blob = zipped(seed=1)
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert "the file changed on the host; starting over" in capfd.readouterr().err


def test_a_changed_file_is_seen_even_where_the_host_ignores_if_range(kaggle, fetch, disk, zipped, capfd) -> None:
    def regardless(server, handler) -> None:
        server.blob = zipped(seed=1)
        handler.headers.replace_header("If-Range", server.etag)
        server.send(handler)

    kaggle.storage_faults += [cut(100_000), regardless]
    fetch()
    assert disk()[ZIP] == zipped(seed=1)
    assert kaggle.stored() == _ranges(0, 100_000, 0)
    assert "the file changed on the host; what was there of it was removed" in capfd.readouterr().err


def test_a_host_that_does_not_resume_is_asked_for_the_whole(kaggle, fetch, disk, capfd) -> None:
    kaggle.ranges = False
    kaggle.storage_faults += [cut(100_000)]
    fetch()
    assert disk()[ZIP] == kaggle.blob
    assert "the host does not resume; starting over, 100,000 bytes" in capfd.readouterr().err


def test_a_host_that_does_not_resume_and_cuts_each_time_is_not_waited_for_forever(kaggle, fetch, disk) -> None:
    kaggle.ranges = False
    kaggle.storage_faults += [cut(100_000)] * 50
    with pytest.raises(ArchiveError, match="the connection was cut, and 4 attempts in a row brought nothing"):
        fetch()
    assert len(kaggle.stored()) == 5
    assert set(disk()).isdisjoint({ZIP, INDEX, RECORD})


# --- what ends it ------------------------------------------------------------------------------------------


@dataclass
class Refusal:
    """How a download ends.

    Attributes:
        found, expected, action: What the message says, in part.
        kept: How many bytes of the part are left; None where there is none.
        waits: Before it.
    """

    found: str
    expected: str
    action: str
    kept: int | None = None
    waits: list[float] = field(default_factory=list)


_TERMS = Refusal(
    "Kaggle refuses access (403)",
    "an account that has accepted the dataset's terms",
    "open https://www.kaggle.com/datasets/alice/chest-films in a browser with the account of KAGGLE_API_TOKEN",
)
_DAMAGED = "what was fetched is damaged and was removed: "
_ANEW = "run `dvc repro` again, which fetches it from the start"

ENDED = [
    pytest.param(
        [status(401)],
        [],
        Refusal(
            "Kaggle does not accept the credentials of KAGGLE_API_TOKEN",
            "that are valid",
            "make a new one at https://www.kaggle.com/settings/api",
        ),
        id="401",
    ),
    pytest.param([status(403)], [], _TERMS, id="403, terms not accepted"),
    pytest.param(
        [None, None, status(403)],
        [cut(70_000)],
        Refusal(_TERMS.found, _TERMS.expected, _TERMS.action, kept=70_000, waits=[1]),
        id="403, terms withdrawn in between",
    ),
    pytest.param(
        [None, status(404)],
        [],
        Refusal(
            "Kaggle knows no such dataset or version (404)",
            "OWNER/DATASET and a version as https://www.kaggle.com/datasets/alice/chest-films shows them",
            "correct sources.films.ref or sources.films.version",
        ),
        id="404",
    ),
    pytest.param([status(418)], [], Refusal("Kaggle answers 418", "its archive", "try again later"), id="418"),
    pytest.param(
        [status(500)] * 9,
        [],
        Refusal(
            "Kaggle answers 500, and 4 attempts in a row brought nothing",
            "a host that answers",
            "run `dvc repro` again later",
            waits=[1, 2, 4],
        ),
        id="500 forever",
    ),
    pytest.param(
        [],
        [cut(100_000), storage_status(503), cut(0), stalled(0, 9), storage_status(403)],
        Refusal(
            "the storage host does not take the link any more (403), and 4 attempts in a row brought nothing",
            "a host that answers",
            "run `dvc repro` again later; it goes on after the 100,000 bytes that are there",
            kept=100_000,
            waits=[1, 1, 2, 4],
        ),
        id="no progress",
    ),
    pytest.param(
        [None, None, status(429, Retry_After="4000")],
        [cut(100_000)],
        Refusal(
            "Kaggle answers 429 and asks to wait 4,000 seconds",
            "at most 900",
            "it goes on after the 100,000 bytes that are there",
            kept=100_000,
            waits=[1],
        ),
        id="a Retry-After of more than an hour",
    ),
    pytest.param(
        [],
        [storage_status(404)],
        Refusal(
            "the storage host answers 404",
            "its archive",
            "see whether https://www.kaggle.com/datasets/alice/chest-films still has this version",
        ),
        id="storage 404",
    ),
    pytest.param(
        [],
        [declared(200_000)],
        Refusal(f"{_DAMAGED}it has md5 ", "as the storage host promised", _ANEW),
        id="Content-Length too short",
    ),
    pytest.param(
        [],
        [flipped(150_000)],
        Refusal(f"{_DAMAGED}it has md5 ", "as the storage host promised", _ANEW),
        id="flipped byte",
    ),
    pytest.param(
        [],
        [cut(100_000), flipped(150_000)],
        Refusal(f"{_DAMAGED}it has md5 ", "as the storage host promised", _ANEW, waits=[1]),
        id="flipped byte after a cut",
    ),
    pytest.param(
        [],
        [declared(10**15)],
        Refusal(
            " bytes are free where work/download/films-",
            "room for the 1,000,000,000,000,000 bytes that are to come",
            "and run `dvc repro` again; 0 bytes are there and are kept",
        ),
        id="more than the disk can take",
    ),
]


@pytest.mark.parametrize(("faults", "storage_faults", "refusal"), ENDED)
def test_a_download_ends(
    *, faults: list[Fault], storage_faults: list[Fault], refusal: Refusal, kaggle, fetch, waits, disk
) -> None:
    kaggle.faults += faults
    kaggle.storage_faults += storage_faults
    with pytest.raises(ArchiveError) as raised:
        fetch()
    assert raised.value.found.startswith(f"{NAME}: ")
    assert refusal.found in raised.value.found
    assert refusal.expected in raised.value.expected
    assert refusal.action in raised.value.action
    assert waits.seconds == refusal.waits
    left = disk()
    assert set(left).isdisjoint({ZIP, INDEX, RECORD})
    assert _part(left) == (None if refusal.kept is None else kaggle.blob[: refusal.kept])
    assert all(name.startswith("work/download/films-") for name in left)

    # And the next run is none the worse for it.
    kaggle.faults.clear()
    kaggle.storage_faults.clear()
    asked = len(kaggle.stored())
    fetch()
    assert kaggle.stored()[asked:] == _ranges(refusal.kept or 0)
    assert disk()[ZIP] == kaggle.blob
    assert set(disk()) == {ZIP, INDEX, RECORD}


@pytest.mark.parametrize(
    ("fault", "damage"),
    [
        pytest.param(declared(200_000), "is no readable zip: it does not end in an end record", id="too short"),
        pytest.param(
            flipped(150_000),
            "member 'images_001/images/00000004_000.png' has another CRC-32 than its entry",
            id="flipped byte",
        ),
    ],
)
def test_damage_is_found_and_removed_where_the_host_promises_no_md5(
    fault: Fault, damage: str, kaggle, fetch, disk
) -> None:
    kaggle.hashed = False
    kaggle.storage_faults += [fault]
    with pytest.raises(ArchiveError) as raised:
        fetch()
    assert _DAMAGED in raised.value.found
    assert damage in raised.value.found
    assert raised.value.action == _ANEW
    assert disk() == {}
    fetch()
    assert kaggle.stored() == _ranges(0, 0)
    assert disk()[ZIP] == kaggle.blob


def test_a_zip_that_kaggle_itself_has_damaged_is_refused_but_not_fetched_again(kaggle, fetch, disk) -> None:
    broken = bytearray(kaggle.blob)
    broken[150_000] ^= 1
    kaggle.blob = bytes(broken)
    for _ in range(2):
        with pytest.raises(ArchiveError) as raised:
            fetch()
        assert "00000004_000.png' has another CRC-32 than its entry" in raised.value.found
        assert "the md5 is right, so Kaggle has it like this" in raised.value.found
    assert kaggle.stored() == _ranges(0)
    assert _part(disk()) == kaggle.blob
    assert set(disk()).isdisjoint({ZIP, INDEX, RECORD})


def test_a_full_disk_keeps_what_was_written_and_the_next_run_goes_on_with_it(kaggle, fetch, disk) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file of this process may grow beyond this: the write itself fails, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, before[1]))
    try:
        with pytest.raises(ArchiveError) as raised:
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "archive.zip.part cannot be written: File too large" in raised.value.found
    assert raised.value.expected == f"room for {SIZE - 120_000:,} bytes more"
    assert raised.value.action == "free it and run `dvc repro` again; 120,000 bytes are there and are kept"
    assert _part(disk()) == kaggle.blob[:120_000]
    fetch()
    assert kaggle.stored() == _ranges(0, 120_000)
    assert disk()[ZIP] == kaggle.blob


@pytest.mark.parametrize("state", [b"", b"{}", b"[1]", b"\xff"])
def test_a_part_of_which_nothing_is_known_is_removed(state: bytes, kaggle, fetch, disk) -> None:
    kaggle.storage_faults += [cut(100_000), *[cut(0)] * 4]
    with pytest.raises(ArchiveError):
        fetch()
    (named,) = Path("work/download").glob("*/archive.zip.part.json")
    named.write_bytes(state)
    kaggle.faults += [None, status(404)]
    with pytest.raises(ArchiveError):
        fetch()
    assert _part(disk()) is None
    asked = len(kaggle.stored())
    fetch()
    assert kaggle.stored()[asked:] == _ranges(0)
    assert disk()[ZIP] == kaggle.blob


def test_a_part_that_is_longer_than_the_file_is_fetched_from_the_start(kaggle, fetch, disk) -> None:
    kaggle.storage_faults += [cut(100_000), *[cut(0)] * 4]
    with pytest.raises(ArchiveError):
        fetch()
    (part,) = Path("work/download").glob("*/archive.zip.part")
    part.write_bytes(bytes(SIZE + 1))
    asked = len(kaggle.stored())
    fetch()
    assert kaggle.stored()[asked:] == _ranges(SIZE + 1, 0)
    assert disk()[ZIP] == kaggle.blob


def test_a_part_of_another_version_is_not_gone_on_with(kaggle, fetch, disk, zipped) -> None:
    kaggle.storage_faults += [cut(100_000), *[cut(0)] * 4]
    with pytest.raises(ArchiveError):
        fetch(version=2)
    asked = len(kaggle.stored())
    fetch(version=3)
    assert kaggle.stored()[asked:] == _ranges(0)
    assert set(disk()) == {ZIP, INDEX, RECORD}, "the part of version 2 went, too"
