import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glassbox.errors import ArchiveError
from glassbox.sources import zip as zips

_NOISE = np.random.default_rng(7).bytes(20_000)
_CONTENTS = {
    "images_001/images/00000001_000.png": _NOISE,
    "Data_Entry_2017.csv": b"Image Index,Finding Labels\n" * 500,
    "empty.txt": b"",
}


def _write(path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in _CONTENTS.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return _write(tmp_path / "films.zip")


def _read_all(path: Path) -> dict[str, bytes]:
    with zips.opened(path) as descriptor:
        return {member.name: zips.read(descriptor, member) for member in zips.members(path)}


def _central(data: bytearray, name: str) -> int:
    """Offset of a member's entry in the central directory."""
    return data.rindex(name.encode()) - 46


def _patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_members_read_in_place_equal_what_zipfile_reads(method: int, tmp_path: Path) -> None:
    path = _write(tmp_path / "films.zip", method)
    with zipfile.ZipFile(path) as archive:
        assert _read_all(path) == {name: archive.read(name) for name in archive.namelist()} == _CONTENTS


def test_members_come_in_the_order_they_lie_in_the_file_and_folders_are_none(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("images")
        for name in ("images/z.png", "images/a.png", "m.csv"):
            archive.writestr(name, name)
        archive.filelist.reverse()  # the directory lists them the other way round
    found = zips.members(path)
    assert [member.name for member in found] == ["images/z.png", "images/a.png", "m.csv"]
    assert [member.offset for member in found] == sorted(member.offset for member in found)


def test_an_archive_without_members_has_none(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    assert zips.members(tmp_path / "empty.zip") == []


def test_many_threads_share_a_descriptor(path: Path) -> None:
    members = zips.members(path) * 40
    with zips.opened(path) as descriptor, ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda member: zips.read(descriptor, member), members))
    assert read == list(_CONTENTS.values()) * 40


def test_a_local_header_with_a_longer_extra_field_than_the_directory_reads_right(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("a.png")
        member.extra = struct.pack("<HH8s", 0x5455, 8, b"\0" * 8)
        archive.writestr(member, _NOISE)
        member.extra = b""  # only the local header keeps it
        archive.writestr("b.png", b"after")
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("a.png").extra == b""
    assert path.read_bytes()[28:30] == b"\x0c\x00"
    assert _read_all(path) == {"a.png": _NOISE, "b.png": b"after"}


def test_a_member_with_zip64_fields_reads_right(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.png", "w", force_zip64=True) as stream:
            stream.write(_NOISE)
        archive.writestr("b.png", b"after")
    assert path.read_bytes()[22:26] == b"\xff" * 4  # the size lies in the extra field
    assert _read_all(path) == {"a.png": _NOISE, "b.png": b"after"}


def test_a_streamed_archive_whose_sizes_follow_the_content_reads_right(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"

    class Pipe:
        """A file that cannot seek: zipfile then writes sizes behind each member."""

        def __init__(self) -> None:
            self.stream = path.open("wb")

        def write(self, data: bytes) -> int:
            return self.stream.write(data)

        def flush(self) -> None:
            self.stream.flush()

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for name, content in _CONTENTS.items():
            archive.writestr(name, content)
    pipe.stream.close()
    assert path.read_bytes()[6] & 0x08
    assert _read_all(path) == _CONTENTS


def test_an_archive_behind_other_bytes_reads_right(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\n" * 10 + path.read_bytes())
    assert _read_all(path) == _CONTENTS


# --- what is no readable archive ---------------------------------------------------------------------------


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as refusal:
        zips.members(tmp_path / "none.zip")
    assert refusal.value.found == f"{tmp_path / 'none.zip'} is not there"
    assert refusal.value.action == "check the path of the source"


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip at all", b"PK\x03\x04" + bytes(100), b"\x1f\x8b" + bytes(1000)],
    ids=["empty", "text", "only a local header", "gzip"],
)
def test_what_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "films.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"films\.zip is no readable zip") as refusal:
        zips.members(tmp_path / "films.zip")
    assert refusal.value.expected == "a whole zip archive"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is no readable zip"):
        zips.members(tmp_path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_a_zip_that_was_cut_is_refused(kept: float, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ArchiveError, match="is no readable zip") as refusal:
        zips.members(path)
    assert "a download that was cut looks like this" in refusal.value.action


def test_an_encrypted_member_is_refused(path: Path) -> None:
    def encrypt(data: bytearray) -> None:
        data[_central(data, "Data_Entry_2017.csv") + 8] |= 0x1

    with pytest.raises(ArchiveError, match=r"member 'Data_Entry_2017\.csv' is encrypted"):
        zips.members(_patched(path, encrypt))


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.png", "images/../../secret.png", "images/.."])
def test_a_name_that_leads_out_of_the_archive_is_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(ArchiveError) as refusal:
        zips.members(tmp_path / "films.zip")
    assert f"member {name!r} has a name that leads out of the archive" in refusal.value.found
    assert "plain relative names" in refusal.value.expected


def test_dots_inside_a_name_are_no_way_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("images/a..b.png", b"x")
    assert [member.name for member in zips.members(tmp_path / "films.zip")] == ["images/a..b.png"]


@pytest.mark.parametrize(("field", "what"), [(20, "compressed"), (24, "inflated")])
def test_a_member_that_claims_to_be_huge_is_refused(field: int, what: str, path: Path) -> None:
    def claim(data: bytearray) -> None:
        at = _central(data, "Data_Entry_2017.csv") + field
        data[at : at + 4] = struct.pack("<L", zips.LARGEST_MEMBER + 1)

    with pytest.raises(ArchiveError, match=r"claims 268,435,457 bytes, more than 268,435,456"):
        zips.members(_patched(path, claim))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(method: int, tmp_path: Path) -> None:
    path = _write(tmp_path / "films.zip", method)
    with pytest.raises(ArchiveError, match=f"is compressed by method {method}") as refusal:
        zips.members(path)
    assert refusal.value.expected == "stored or deflated members with plain relative names"


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        link = zipfile.ZipInfo("images/a.png")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match=r"'images/a\.png' is a symbolic link"):
        zips.members(tmp_path / "films.zip")


# --- damage inside an archive ------------------------------------------------------------------------------


def test_a_byte_flipped_anywhere_in_deflated_content_never_gives_other_content(path: Path) -> None:
    members = zips.members(path)
    whole = path.read_bytes()
    refused = []
    positions = range(30, zips.members(path)[-1].offset, 71)
    for position in positions:
        path.write_bytes(whole)
        _patched(path, lambda data, at=position: data.__setitem__(at, data[at] ^ 0x10))
        with zips.opened(path) as descriptor:
            for member in members:
                try:
                    assert (
                        zips.read(descriptor, member) == _CONTENTS[member.name]
                    )  # deflate has bits without meaning
                except ArchiveError as refusal:
                    refused.append((refusal.found.split("'")[1], refusal.expected))
    assert set(refused) == {(member.name, "an intact archive") for member in members[:2]}
    assert len(refused) >= 0.9 * (len(positions) - 1)


def test_a_stored_member_with_a_flipped_byte_has_another_crc(tmp_path: Path) -> None:
    path = _write(tmp_path / "films.zip", zipfile.ZIP_STORED)
    member = zips.members(path)[0]
    _patched(path, lambda data: data.__setitem__(500, data[500] ^ 1))
    with zips.opened(path) as descriptor, pytest.raises(ArchiveError, match="has another CRC-32 than its entry"):
        zips.read(descriptor, member)


def test_a_member_that_inflates_to_more_than_it_promises_is_refused_without_inflating_it_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(5_000_000))
    member = replace(zips.members(path)[0], size=1000, crc=zlib.crc32(bytes(1000)))
    with zips.opened(path) as descriptor, pytest.raises(ArchiveError, match="has 1,001 bytes, not 1,000"):
        zips.read(descriptor, member)


def test_a_member_that_ends_early_is_refused(path: Path) -> None:
    members = zips.members(path)
    with path.open("r+b") as stream:
        stream.truncate(members[0].offset + 5000)
    with zips.opened(path) as descriptor:
        with pytest.raises(ArchiveError, match=r"has [\d,]+ bytes, not 20,000"):
            zips.read(descriptor, members[0])
        with pytest.raises(ArchiveError, match="has no local header at its offset"):
            zips.read(descriptor, members[1])


def test_a_directory_that_points_beside_the_member_is_refused(path: Path) -> None:
    member = zips.members(path)[1]
    with zips.opened(path) as descriptor, pytest.raises(ArchiveError, match="has no local header at its offset"):
        zips.read(descriptor, replace(member, offset=member.offset + 1))
