"""The index of an archive's members: what the download knows of them, for every stage that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_zip import CONTENTS, write

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.artifacts import archive, members
from glassbox.artifacts.members import Member

if TYPE_CHECKING:
    from pathlib import Path

ZIP = archive.path("films")


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Member]:
    """The members of a zip that is the archive of a source `films`, in the working directory, and in its index."""
    monkeypatch.chdir(tmp_path)
    ZIP.parent.mkdir(parents=True)
    found = zips.verify(write(ZIP), zips.members(ZIP), label="films")
    members.write("films", found, "0" * 64)
    return found


def test_members_are_read_in_place_by_the_index_alone(listed: list[Member]) -> None:
    read, of = members.read("films")
    assert (read, of) == (listed, "0" * 64)
    with zips.opened(ZIP) as descriptor:
        assert {member.name: zips.read(descriptor, member) for member in read} == CONTENTS


def test_a_member_whose_content_is_not_the_one_of_the_index_is_refused(listed: list[Member]) -> None:
    """Its CRC-32 may be right: that of a film says next to nothing."""
    other = listed[0]._replace(sha256=listed[1].sha256)
    with zips.opened(ZIP) as descriptor, pytest.raises(ArchiveError, match="has another SHA-256 than when it was"):
        zips.read(descriptor, other)


def test_an_index_is_known_by_the_bytes_of_its_archive_and_by_nothing_else(listed: list[Member]) -> None:
    assert members.known("films", "0" * 64) == listed
    assert members.known("films", "1" * 64) == []
    members.path("films").write_bytes(members.path("films").read_bytes()[:-1])
    assert members.known("films", "0" * 64) == []
    members.path("films").unlink()
    assert members.known("films", "0" * 64) == []


def test_the_same_members_give_the_same_bytes(listed: list[Member]) -> None:
    first = members.path("films").read_bytes()
    members.write("films", listed, "0" * 64)
    assert members.path("films").read_bytes() == first


@pytest.mark.parametrize(
    "found",
    [[], [Member("Röntgen/肺.png", 2**62, zips.LARGEST_MEMBER, 2**28, 2**32 - 1, zips.DEFLATED, "f" * 64)]],
    ids=["none", "the largest"],
)
def test_members_of_any_size_come_back_as_they_are(
    found: list[Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members.write("films", found, "0" * 64)
    assert members.read("films")[0] == found
