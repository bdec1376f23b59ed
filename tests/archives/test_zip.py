import hashlib
import itertools
import json
import multiprocessing
import os
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_zip import CONTENTS, NOISE, TABLE, write, write_beyond_4_gib, write_twice
from tqdm import tqdm

from glassbox.archives import zip as zips
from glassbox.artifacts.members import Member, contents


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "films.zip")


def _read_all(path: Path) -> dict[str, bytes]:
    with zips.opened(path) as descriptor:
        return {member.name: zips.read(descriptor, member) for member in zips.members(path)}


# --- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_members_read_in_place_equal_what_zipfile_reads(method: int, tmp_path: Path) -> None:
    path = write(tmp_path / "films.zip", method)
    with zipfile.ZipFile(path) as archive:
        assert _read_all(path) == {name: archive.read(name) for name in archive.namelist()} == CONTENTS
        entries = [
            Member(e.filename, e.header_offset, e.compress_size, e.file_size, e.CRC, e.compress_type)
            for e in archive.infolist()
        ]
    assert zips.members(path) == entries


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


@pytest.mark.parametrize("comment", [b"chest films", b"PK\x05\x06, see APPNOTE.TXT of PKWARE", bytes(0xFFFF)])
def test_an_archive_with_a_comment_reads_right(comment: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    assert _read_all(path) == CONTENTS


def test_an_archive_behind_other_bytes_reads_right(path: Path) -> None:
    path.write_bytes(b"#!/bin/sh\n" * 10 + path.read_bytes())
    assert _read_all(path) == CONTENTS


@pytest.mark.parametrize("extra", [8, 5000])
def test_a_local_header_with_a_longer_extra_field_than_the_directory_reads_right(
    extra: int, tmp_path: Path
) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("a.png")
        member.extra = struct.pack("<HH", 0x5455, extra) + bytes(extra)
        archive.writestr(member, NOISE)
        member.extra = b""  # only the local header keeps it
        archive.writestr("b.png", b"after")
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("a.png").extra == b""
    assert struct.unpack_from("<H", path.read_bytes(), 28) == (extra + 4,)
    assert _read_all(path) == {"a.png": NOISE, "b.png": b"after"}


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
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
    pipe.stream.close()
    assert path.read_bytes()[6] & 0x08
    assert path.read_bytes()[14:26] == bytes(12)  # neither CRC nor sizes in the local header
    assert _read_all(path) == CONTENTS


@pytest.mark.parametrize("name", ["Röntgen/肺.png", "肺" * 200, "images/a..b.png", "...", "a/..b/c"])
def test_names_that_only_look_odd_read_right(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr(name, b"x")
    assert _read_all(tmp_path / "films.zip") == {name: b"x"}


def test_a_name_without_the_mark_of_utf8_is_in_cp437(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("R_ntgen.png", b"x")
    path.write_bytes(path.read_bytes().replace(b"R_ntgen", "Röntgen".encode("cp437")))
    assert _read_all(path) == {"Röntgen.png": b"x"}


def test_a_member_that_lies_twice_in_an_archive_with_the_same_content_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    write_twice(path, b"same", b"same")
    assert [(member.name, member.offset) for member in zips.members(path)] == [("a.png", 0)]


# --- zip64 -------------------------------------------------------------------------------------------------


def test_a_member_with_zip64_fields_in_its_local_header_reads_right(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a.png", "w", force_zip64=True) as stream:
            stream.write(NOISE)
        archive.writestr("b.png", b"after")
    assert path.read_bytes()[22:26] == b"\xff" * 4  # the size lies in the extra field
    assert _read_all(path) == {"a.png": NOISE, "b.png": b"after"}


@pytest.mark.parametrize("wide", [("size",), ("compressed",), ("offset",), ("size", "compressed", "offset")])
def test_sizes_and_offsets_that_lie_in_the_directorys_zip64_field_read_right(
    wide: tuple[str, ...], tmp_path: Path
) -> None:
    def widen(archive: zipfile.ZipFile) -> None:
        entry = archive.getinfo(TABLE)
        values = {"size": entry.file_size, "compressed": entry.compress_size, "offset": entry.header_offset}
        timestamp = struct.pack("<2H5s", 0x5455, 5, bytes(5))  # another field comes first
        entry.extra = timestamp + struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *map(values.get, wide))

    data = bytearray(write(tmp_path / "films.zip", change=widen).read_bytes())
    for field in wide:
        at = data.rindex(TABLE.encode()) - 46 + {"compressed": 20, "size": 24, "offset": 42}[field]
        data[at : at + 4] = b"\xff" * 4
    (tmp_path / "films.zip").write_bytes(data)
    assert _read_all(tmp_path / "films.zip") == CONTENTS


def test_offsets_beyond_4_gib_read_right(tmp_path: Path) -> None:
    path = write_beyond_4_gib(tmp_path / "films.zip")
    assert path.stat().st_size > 5 << 30
    assert path.stat().st_blocks * 512 < 1 << 20  # a hole takes no disk
    assert [member.offset for member in zips.members(path)] == [0, 5 << 30]
    assert _read_all(path) == {"near.png": NOISE, "far.png": NOISE[::-1]}


def test_an_archive_behind_more_than_4_gib_of_other_bytes_reads_right(path: Path, tmp_path: Path) -> None:
    behind = tmp_path / "behind.zip"
    with behind.open("wb") as stream:
        stream.seek(5 << 30)
        stream.write(path.read_bytes())
    assert zips.members(behind)[0].offset == 5 << 30
    assert _read_all(behind) == CONTENTS


def test_more_members_than_16_bits_can_count_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(0x10000 + 5):
            archive.writestr(zipfile.ZipInfo(f"{number:08d}.png"), b"")
    found = zips.members(path)
    assert [member.name for member in found] == [f"{number:08d}.png" for number in range(0x10000 + 5)]


# --- how it is read ----------------------------------------------------------------------------------------


def test_a_member_takes_one_system_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    pread = os.pread
    members = zips.members(path)
    with zips.opened(path) as descriptor:
        monkeypatch.setattr(os, "pread", lambda *where: calls.append(where[1:]) or pread(*where))
        for member in members[:2]:
            zips.read(descriptor, member)
    assert [offset for _, offset in calls] == [member.offset for member in members[:2]]
    assert all(length < member.compressed + 200 for (length, _), member in zip(calls, members, strict=False))


def test_what_the_system_reads_in_pieces_is_put_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda handle, length, offset: pread(handle, min(length, 777), offset))
    assert _read_all(path) == CONTENTS


def test_many_threads_share_a_descriptor(path: Path) -> None:
    members = zips.members(path) * 40
    with zips.opened(path) as descriptor, ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda member: zips.read(descriptor, member), members))
    assert read == list(CONTENTS.values()) * 40


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that fork and threads mix badly
def test_forked_processes_share_a_descriptor(path: Path) -> None:
    members = zips.members(path) * 40
    with zips.opened(path) as descriptor, multiprocessing.get_context("fork").Pool(2) as pool:
        read = pool.starmap(zips.read, [(descriptor, member) for member in members], chunksize=7)
        # None has moved a position that the others read from.
        assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    assert read == list(CONTENTS.values()) * 40


def test_verifying_reads_every_member_and_counts_the_archives_bytes(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[str] = []
    original = zips.read
    monkeypatch.setattr(
        zips, "read", lambda descriptor, member: read.append(member.name) or original(descriptor, member)
    )
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    members = zips.members(path)
    zips.verify(path, members, label="films: checking")
    assert read == list(CONTENTS)
    bar = capsys.readouterr().err.split("\r")[-1]
    assert bar.startswith("films: checking: 100%")
    assert f"{'/'.join([tqdm.format_sizeof(sum(member.compressed for member in members))] * 2)}" in bar
    assert "B/s]" in bar


def test_a_zip_made_anew_of_the_same_files_has_the_same_contents(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    with zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as members:
        for name in sorted(CONTENTS, reverse=True):
            members.writestr(zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6)), CONTENTS[name])
    assert again.read_bytes() != path.read_bytes()
    assert _contents(again) == _contents(path)
    named = [[name, hashlib.sha256(CONTENTS[name]).hexdigest()] for name in sorted(CONTENTS)]
    assert _contents(path) == hashlib.sha256(json.dumps(named, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [{"a.png": NOISE[:-1] + b"!"}, {"a.png": NOISE[:-1]}, {"b.png": b""}, {"a.png": None, "c.png": NOISE}],
    ids=["another byte", "a byte less", "one more", "another name"],
)
def test_a_zip_of_other_files_has_other_contents(change: dict[str, bytes | None], tmp_path: Path) -> None:
    found = []
    for name, files in {"one": {"a.png": NOISE}, "other": {"a.png": NOISE} | change}.items():
        with zipfile.ZipFile(tmp_path / name, "w") as members:
            for member, content in files.items():
                if content is not None:
                    members.writestr(member, content)
        found.append(_contents(tmp_path / name))
    assert len(set(found)) == 2


def test_films_that_a_zips_own_checksums_cannot_tell_apart_are_other_contents(tmp_path: Path) -> None:
    """A PNG ends each chunk with a CRC-32, which leaves 16 bits to the file's: some hundred films do."""
    seen: dict[int, bytes] = {}
    for number in itertools.count():
        film = _film(number)
        if (other := seen.setdefault(zlib.crc32(film), film)) != film:
            break
    assert number < 3000
    assert len(film) == len(other)
    found = []
    for name, content in (("one", film), ("other", other)):
        with zipfile.ZipFile(tmp_path / name, "w") as members:
            members.writestr("film.png", content)
        found.append((zips.members(tmp_path / name), _contents(tmp_path / name)))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def _film(number: int) -> bytes:
    rows = np.random.default_rng(number).integers(0, 256, (16, 17), np.uint8)
    rows[:, 0] = 0
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 0)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _contents(path: Path) -> str:
    return contents((one.name, one.sha256) for one in zips.verify(path, zips.members(path), label=path.name))
