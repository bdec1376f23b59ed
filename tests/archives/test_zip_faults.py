"""Every fault of an archive is refused by name, and leaves the disk as it was."""

import random
import re
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from small_zip import EMPTY, FILM, NOISE, TABLE, write, write_beyond_4_gib, write_twice

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError

Fault = Callable[[Path], object]


def _says(message: str, found: str) -> bool:
    """Whether a refusal ends in a message, whose `#` is any number: zlib's sizes depend on its version."""
    return re.search(re.escape(message).replace("\\#", r"[\d,]+") + "$", found) is not None


# --- how an archive gets a fault ---------------------------------------------------------------------------


def _patched(change: Callable[[bytearray], object]) -> Fault:
    """In the bytes of the whole archive."""

    def make(path: Path) -> None:
        data = bytearray(write(path).read_bytes())
        change(data)
        path.write_bytes(data)

    return make


def _without(start: float, stop: float = 1) -> Fault:
    """Bytes are missing, from one share of the file to another."""
    return _patched(lambda data: data.__delitem__(slice(int(start * len(data)), int(stop * len(data)))))


def _overwritten(at: int, value: bytes) -> Fault:
    return _patched(lambda data: data.__setitem__(slice(at, at + len(value)), value))


def _listed(name: str, **fields: object) -> Fault:
    """The directory says something else of a member; its local header stays right."""

    def change(archive: zipfile.ZipFile) -> None:
        entry = archive.getinfo(name)
        for field, value in fields.items():
            setattr(entry, field, value(getattr(entry, field)) if callable(value) else value)

    return lambda path: write(path, change=change)


def _field(at: int, form: str, value: int, name: str = TABLE) -> Fault:
    """The same, in a field of its entry, `at` bytes from the entry's start."""
    return _patched(lambda data: struct.pack_into(form, data, data.rindex(name.encode()) - 46 + at, value))


def _named(name: str) -> Fault:
    return _listed(TABLE, filename=name)


def _end(at: int, form: str, value: int) -> Fault:
    """In a field of the end record, `at` bytes from its start."""
    return _patched(lambda data: struct.pack_into(form, data, len(data) - 22 + at, value))


def _zip64_end(at: int, form: str, value: int) -> Fault:
    """The same, in that of a zip64 archive."""

    def make(path: Path) -> None:
        with write_beyond_4_gib(path).open("r+b") as stream:
            stream.seek(-22 - 20 - 56 + at, 2)
            stream.write(struct.pack(form, value))

    return make


def _cut_directory(length: int, entries: int) -> Fault:
    """The directory loses its last bytes, and the end record is made to fit."""

    def cut(data: bytearray) -> None:
        end = data[-22:]
        size, offset = struct.unpack_from("<2L", end, 12)
        struct.pack_into("<2HL", end, 8, entries, entries, size - length)
        data[offset + size - length :] = end

    return _patched(cut)


def _no_utf8(data: bytearray) -> None:
    at = data.rindex(TABLE.encode())
    struct.pack_into("<H", data, at - 46 + 8, 0x0800)
    data[at] = 0xFF


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"x" * 1000)
        archive.getinfo("a.png").file_size = 250_000_000
    assert path.stat().st_size < 200


def _large_directory(path: Path) -> None:
    size = zips.LARGEST_MEMBER + 1
    with path.open("wb") as stream:
        stream.seek(size)  # a hole
        stream.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))


# --- faults of the file and its directory ------------------------------------------------------------------

_CUT, _PART = "it does not end in an end record", "it is one part of a split archive"
_LACKS, _MISSING = "its directory lacks what lies at its start", "# bytes are missing before its end"
_BREAKS = "its directory breaks off"
_OUT, _ODD = "has a name that leads out of the archive", "has a name that is no plain path"
_LARGE = "claims 268,435,457 bytes, more than 268,435,456"
_MEMBER, _ON_TOP = f"member '{TABLE}'", f"member '{TABLE}' reaches into the directory"
_DIRECTORY = 3 * 46 + len(FILM + TABLE + EMPTY)
# What is wrong -> how an archive gets it, what is said of it.
_FAULTS: dict[str, tuple[Fault, str]] = {
    "an empty file": (lambda path: path.write_bytes(b""), _CUT),
    "no zip": (lambda path: path.write_bytes(b"<html>Forbidden</html>"), _CUT),
    "a gzip": (lambda path: path.write_bytes(b"\x1f\x8b" + bytes(1000)), _CUT),
    "only a local header": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)), _CUT),
    "cut at 20 %": (_without(0.2), _CUT),
    "cut at 99 %": (_without(0.99), _CUT),
    "cut by a byte": (_patched(bytearray.pop), _CUT),
    "bytes after its end": (_patched(lambda data: data.extend(b"\n")), _CUT),
    "a hole": (_without(0.1, 0.2), _MISSING),
    "one of several disks": (_end(4, "<H", 1), _PART),
    "a directory on another disk": (_end(6, "<H", 1), _PART),
    "entries on another disk": (_end(10, "<H", 9), _PART),
    "a zip64 archive on several disks": (_zip64_end(16, "<L", 1), _PART),
    "no zip64 end record": (_zip64_end(0, "<L", 0), "it has no zip64 end record before its locator"),
    "a directory longer than the file": (_end(12, "<L", 2**32 - 1), _MISSING),
    "a directory beyond the file": (_end(16, "<L", 2**32 - 1), _MISSING),
    "a zip64 directory longer than any": (_zip64_end(40, "<Q", 2**64 - 1), _MISSING),
    "a zip64 directory beyond any": (_zip64_end(48, "<Q", 2**64 - 1), _MISSING),
    "a directory of absurd size": (_large_directory, f"its directory {_LARGE}"),
    "one entry too many": (_end(8, "<L", 0x2_0002), f"its directory goes on after {_MEMBER}, the last of 2"),
    "one entry too few": (_end(8, "<L", 0x4_0004), f"{_BREAKS} after member '{EMPTY}' (3 of 4 entries)"),
    "a directory without its end": (_cut_directory(55, 3), f"{_BREAKS} after {_MEMBER} (2 of 3 entries)"),
    "a directory cut in an entry": (_cut_directory(40, 3), f"{_BREAKS} after {_MEMBER} (2 of 3 entries)"),
    "a directory cut in a name": (_cut_directory(4, 3), f"{_BREAKS} in member 'empty'"),
    "a directory cut to nothing": (_cut_directory(_DIRECTORY, 0), _LACKS),
    "a directory without its start": (lambda path: write(path, change=lambda it: it.filelist.pop(0)), _LACKS),
    "no first entry": (_field(0, "<L", 0, FILM), f"{_BREAKS} at its start (0 of 3 entries)"),
    "no second entry": (_field(0, "<L", 0), f"{_BREAKS} after member '{FILM}' (1 of 3 entries)"),
    "members that overlap": (_listed(TABLE, header_offset=1000), f"member '{FILM}' overlaps '{TABLE}'"),
    "members that touch": (_listed(TABLE, compress_size=lambda size: size + 1), f"{_MEMBER} overlaps '{EMPTY}'"),
    "a member listed twice": (
        lambda path: write(path, change=lambda it: it.filelist.append(it.filelist[1])),
        f"{_MEMBER} overlaps '{TABLE}'",
    ),
    "a member in the directory": (
        _listed(EMPTY, header_offset=lambda offset: offset + 1),
        f"member '{EMPTY}' reaches into the directory",
    ),
    "a member beyond the file": (_field(42, "<L", 2**31), _ON_TOP),
    "a member beyond any file": (_listed(TABLE, header_offset=2**64 - 1), _ON_TOP),
    "an offset that should be in zip64": (_field(42, "<L", 2**32 - 1), _ON_TOP),
    "encrypted": (_field(8, "<H", 0x0001), f"{_MEMBER} is encrypted"),
    "strongly encrypted": (_field(8, "<H", 0x0040), f"{_MEMBER} is encrypted"),
    "a masked header": (_field(8, "<H", 0x2000), f"{_MEMBER} is encrypted"),
    "bzip2": (lambda path: write(path, zipfile.ZIP_BZIP2), f"member '{FILM}' is compressed by method 12"),
    "lzma": (lambda path: write(path, zipfile.ZIP_LZMA), f"member '{FILM}' is compressed by method 14"),
    "a link": (_listed(TABLE, external_attr=(stat.S_IFLNK | 0o777) << 16), f"{_MEMBER} is a symbolic link"),
    "an absolute name": (_named("/etc/passwd"), f"member '/etc/passwd' {_OUT}"),
    "a name with a drive": (_named("C:/films/a.png"), f"member 'C:/films/a.png' {_OUT}"),
    "a name on a share": (_named(r"\\host\a.png"), rf"member '\\\\host\\a.png' {_OUT}"),
    "a name that climbs": (_named("../a.png"), f"member '../a.png' {_OUT}"),
    "a name that climbs later": (_named("images/../../a.png"), f"member 'images/../../a.png' {_OUT}"),
    "a name that ends in a climb": (_named("images/.."), f"member 'images/..' {_OUT}"),
    "a name that climbs by backslashes": (_named(r"images\..\a.png"), rf"member 'images\\..\\a.png' {_OUT}"),
    "a folder that climbs": (_named("../"), f"member '../' {_OUT}"),
    "a name with a backslash": (_named(r"images\a.png"), rf"member 'images\\a.png' {_ODD}"),
    "a name with a NUL": (_named("a.png\0.exe"), rf"member 'a.png\x00.exe' {_ODD}"),
    "a name that is no UTF-8": (_patched(_no_utf8), f"member '\ufffdata_Entry_2017.csv' {_ODD}"),
    "no name": (_named(""), f"member '' {_ODD}"),
    "a name twice": (
        lambda path: write_twice(path, b"one", b"two"),
        "member 'a.png' appears twice with different content",
    ),
    "an absurd size": (_field(24, "<L", 2**28 + 1), f"{_MEMBER} {_LARGE}"),
    "an absurd compressed size": (_field(20, "<L", 2**28 + 1), f"{_MEMBER} {_LARGE}"),
    "an absurd zip64 size": (_listed(TABLE, file_size=2**50), f"{_MEMBER} claims # bytes, more than 268,435,456"),
    "a size that should be in zip64": (
        _field(24, "<L", 2**32 - 1),
        f"{_MEMBER} claims 4,294,967,295 bytes, more than 268,435,456",
    ),
    "a bomb": (_bomb, "member 'a.png' claims to inflate # bytes to 250,000,000, more than deflate can"),
    "stored, of two sizes": (_field(10, "<H", 0), f"{_MEMBER} is stored in # bytes and claims 13,500"),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_fault_is_refused_by_name_and_leaves_the_archive_as_it_was(fault: str, tmp_path: Path) -> None:
    make, message = _FAULTS[fault]
    archive = tmp_path / "films.zip"
    make(archive)
    before = archive.stat()
    with pytest.raises(ArchiveError) as refusal:
        zips.members(archive)
    assert refusal.value.found.startswith((f"{archive}: member ", f"{archive} is no readable zip: "))
    assert _says(message, refusal.value.found)
    assert list(tmp_path.iterdir()) == [archive]
    after = archive.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"none\.zip is not there\n.*\n  next: check the path of the source"):
        zips.members(tmp_path / "none.zip")


def test_a_folder_is_no_zip_and_stays(tmp_path: Path) -> None:
    (tmp_path / "films.zip").mkdir()
    with pytest.raises(ArchiveError, match=r"films\.zip is no readable zip: Is a directory"):
        zips.members(tmp_path / "films.zip")
    assert list(tmp_path.rglob("*")) == [tmp_path / "films.zip"]


@pytest.mark.parametrize("fault", ["a bomb", "a directory of absurd size", "an absurd compressed size"])
def test_an_absurd_claim_is_refused_before_memory_is_taken_for_it(fault: str, tmp_path: Path) -> None:
    _FAULTS[fault][0](tmp_path / "films.zip")
    tracemalloc.start()
    with pytest.raises(ArchiveError):
        zips.members(tmp_path / "films.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


# --- damage of the content ---------------------------------------------------------------------------------


def _flipped_in_stored(path: Path) -> None:
    data = bytearray(write(path, zipfile.ZIP_STORED).read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


def _promised_in_part(path: Path) -> None:
    """A member whose directory promises the first 1,000 of its 5,000,000 bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(5_000_000))
        entry = archive.getinfo("a.png")
        entry.file_size, entry.CRC = 1000, zlib.crc32(bytes(1000))


_AT_TABLE = 30 + len(FILM) + len(zlib.compress(NOISE)) - 6  # a deflate stream lacks zlib's frame of 6 bytes
_CONTENT = _AT_TABLE + 30 + len(TABLE)
# What is wrong -> how an archive whose directory is right gets it, what is said of it.
_DAMAGE: dict[str, tuple[Fault, str]] = {
    "no local header": (_overwritten(_AT_TABLE, b"PK\x01\x02"), f"{_MEMBER} has no local header at its offset"),
    "another local name": (_overwritten(_AT_TABLE + 30, b"data"), f"{_MEMBER} has another name at its offset"),
    "a longer local name": (_overwritten(_AT_TABLE + 26, b"\x14"), f"{_MEMBER} has another name at its offset"),
    "another listed name": (_listed(FILM, filename="b.png"), "member 'b.png' has another name at its offset"),
    "a film listed as a folder": (
        _listed(FILM, filename="film/"),
        "member 'film/' has another name at its offset",
    ),
    "a local extra field beyond the file": (
        _overwritten(28, b"\xff\xff"),
        f"member '{FILM}' breaks off after 0 of # bytes",
    ),
    "a flipped bit in a stored member": (_flipped_in_stored, f"member '{FILM}' has another CRC-32 than its entry"),
    "another listed CRC": (_listed(TABLE, CRC=1), f"{_MEMBER} has another CRC-32 than its entry"),
    "no deflate stream": (_overwritten(_CONTENT, b"\xff" * 8), f"{_MEMBER} cannot be inflated to 13,500 bytes"),
    "more content than listed": (_promised_in_part, "member 'a.png' cannot be inflated to 1,000 bytes"),
    "less content than listed": (_listed(TABLE, file_size=13_501), f"{_MEMBER} has 13,500 bytes, not 13,501"),
}


@pytest.mark.parametrize("damage", _DAMAGE)
def test_damage_is_found_by_verifying_and_named_and_the_archive_stays(damage: str, tmp_path: Path) -> None:
    make, message = _DAMAGE[damage]
    path = tmp_path / "films.zip"
    make(path)
    before = path.read_bytes()
    with pytest.raises(ArchiveError) as refusal:
        zips.verify(path, zips.members(path), label="films")
    assert refusal.value.found.startswith(f"{path}: member ")
    assert _says(message, refusal.value.found)
    assert (refusal.value.expected, refusal.value.action) == ("an intact archive", "fetch the archive again")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_the_first_of_two_damaged_members_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "films.zip")
    members = zips.members(path)
    data = bytearray(path.read_bytes())
    data[5000] ^= 0x10
    data[members[1].offset] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=f"films.zip: member '{FILM}'"):
        zips.verify(path, members, label="films")


def test_an_archive_that_was_cut_after_it_was_indexed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "films.zip")
    members = zips.members(path)
    with path.open("r+b") as stream:
        stream.truncate(5000)
    with zips.opened(path) as descriptor:
        with pytest.raises(ArchiveError, match=rf"'{FILM}' breaks off after 4,936 of [\d,]+ bytes"):
            zips.read(descriptor, members[0])
        with pytest.raises(ArchiveError, match=f"'{TABLE}' has no local header at its offset"):
            zips.read(descriptor, members[1])


def test_more_content_than_promised_is_refused_without_inflating_it_all(tmp_path: Path) -> None:
    _promised_in_part(tmp_path / "films.zip")
    member = zips.members(tmp_path / "films.zip")[0]
    with zips.opened(tmp_path / "films.zip") as descriptor:
        tracemalloc.start()
        with pytest.raises(ArchiveError, match="cannot be inflated to 1,000 bytes"):
            zips.read(descriptor, member)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100_000


# --- any fault ---------------------------------------------------------------------------------------------

_SMALL = {"a.png": b"film " * 40, "b.csv": b"Image Index,Finding Labels\n", "c/d.txt": b"stored"}


def _small(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in _SMALL.items():
            archive.writestr(name, content, compress_type=0 if content == b"stored" else 8)
    return path.read_bytes()


def _mutated(whole: bytes, chance: random.Random) -> bytes:
    """An archive with one to three random faults, of bits, fields or whole pieces."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        at, length = chance.randrange(len(data)), chance.choice([1, 2, 4, 8, 50])
        match chance.randrange(6):
            case 0 | 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                data[at : at + length] = chance.choice([b"\0", b"\xff", b"\x7f", b"PK\5\6"]) * length
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = chance.randbytes(length)
            case 5:
                start = chance.randrange(len(data))
                data[at : at + length] = data[start : start + length]
    return bytes(data)


@pytest.mark.parametrize("zip64", [False, True], ids=["zip", "zip64"])
@pytest.mark.parametrize("cases", [50, pytest.param(60_000, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_any_fault_is_refused_or_does_no_harm(
    cases: int, zip64: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if zip64:  # so that zipfile writes the records of large archives
        monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    whole = _small(tmp_path / "whole.zip")
    assert (b"PK\x06\x06" in whole) == zip64
    chance, path = random.Random(11), tmp_path / "films.zip"  # noqa: S311 (seeded faults)
    outcomes: Counter[str] = Counter()
    tracemalloc.start()
    for case in range(cases):
        path.write_bytes(_mutated(whole, chance))
        try:
            members = zips.members(path)
        except ArchiveError:
            outcomes["directory"] += 1
            continue
        refused = 0
        with zips.opened(path) as descriptor:
            for member in members:
                try:
                    assert zips.read(descriptor, member) == _SMALL[member.name], case
                except ArchiveError:
                    refused += 1
        # What is not refused is complete.
        assert refused or {member.name for member in members} == _SMALL.keys(), case
        outcomes["member" if refused else "harmless"] += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000  # whatever sizes were claimed
    assert min(outcomes[kind] for kind in ("directory", "member", "harmless")) > cases / 100, outcomes
