"""A zip without some of its members: what stays is copied as it lies there, and nothing is compressed anew."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

import deflate
from tqdm import tqdm

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.archives.zip import END, END64, ENTRY, IN_ZIP64, LOCAL_HEADER, LOCATOR64, STORED, ZIP64
from glassbox.files import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from glassbox.archives.zip import Place
    from glassbox.artifacts.members import Member

#: Bytes that are copied at once.
_BLOCK = 4 * 1024 * 1024
#: The flag of a member whose sizes follow its content (4.3.9): with a signature or none, in 4 or 8 bytes each.
_SIZES_FOLLOW = 0x0008
_DESCRIPTORS = tuple(struct.Struct(sizes) for sizes in ("<4sL2L", "<4sL2Q", "<L2L", "<L2Q"))
_SIGNATURE = b"PK\x07\x08"
_FIELD = struct.Struct("<2H")  # tag and length of an extra field
#: From this many entries on their number stands in the zip64 end record alone.
_MOST_ENTRIES = 0xFFFF


def cut(zip: Path, target: Path, drop: Collection[str], tables: Mapping[str, bytes]) -> str:  # noqa: A002
    """Writes a zip without some of its members, and with other content in others; the same give the same bytes.

    Local headers and compressed bytes of all other members are those of the old zip, in its order. Members with
    other content are stored, not compressed: no compressor's version can show in the zip. What lies between
    members, or before them, belongs to nobody and goes, as do folders that only held members which go.

    Args:
        zip: The old zip.
        target: Where the new one shall lie; what lies there is replaced when the new one is whole.
        drop: Names of the members that go.
        tables: Name of a member -> its new content.

    Returns:
        The SHA-256 of the new zip, after it was read back.

    Raises:
        ArchiveError: The old zip or a member of it is damaged, or the new one cannot be written.
    """
    found = zips.directory(zip)
    kept = _kept(found.places, drop)
    try:
        with atomic(target) as temporary:
            sha256 = _write(zip, temporary, kept, tables, found.comment)
            wanted = [_expected(place.member, tables) for place in kept]
            _check(temporary, wanted)
    except OSError as error:
        raise ArchiveError(
            f"{target} cannot be written: {error.strerror}",
            f"a folder that can be written, and room for what stays of {zip}",
            "see to that and run the same command again",
        ) from None
    return sha256


def _kept(places: list[Place], drop: Collection[str]) -> list[Place]:
    emptied = _folders(places, lambda name: name in drop) - _folders(places, lambda name: name not in drop)
    return [place for place in places if place.member.name not in emptied and place.member.name not in drop]


def _folders(places: list[Place], wanted: Callable[[str], bool]) -> set[str]:
    """All folders, as `a/b/`, above the wanted ones of the files."""
    names = [place.member.name for place in places]
    parts = [name.split("/")[:-1] for name in names if not name.endswith("/") and wanted(name)]
    return {"/".join(part[:depth]) + "/" for part in parts for depth in range(1, len(part) + 1)}


def _write(
    zip: Path,  # noqa: A002
    temporary: Path,
    kept: list[Place],
    tables: Mapping[str, bytes],
    comment: bytes,
) -> str:
    entries, sums = [], hashlib.sha256()
    total = sum(place.member.compressed for place in kept)
    with (
        zips.opened(zip) as descriptor,
        temporary.open("wb") as file,
        tqdm(total=total, desc=f"copying {zip}", unit="B", unit_scale=True, disable=None) as bar,
    ):
        at = 0

        def put(content: bytes) -> None:
            nonlocal at
            file.write(content)
            sums.update(content)
            at += len(content)

        for place in kept:
            entry, start = place.entry, at
            if (content := tables.get(place.member.name)) is None:
                for block in _as_it_lies(descriptor, place.member):
                    put(block)
            else:
                header, entry = _stored(_local_header(descriptor, place.member), entry, content)
                put(header + content)
            entries.append(_at(entry, start))
            bar.update(place.member.compressed)
        start = at
        for entry in entries:
            put(entry)
        put(_end(len(entries), at - start, start, comment))
    return sums.hexdigest()


def _local_header(descriptor: int, member: Member) -> bytes:
    """A member's local header with its name and extra field."""
    fixed = os.pread(descriptor, LOCAL_HEADER.size, member.offset)
    if len(fixed) < LOCAL_HEADER.size or not fixed.startswith(b"PK\x03\x04"):
        raise zips.damaged(member, "has no local header at its offset")
    *_, name, extra = LOCAL_HEADER.unpack(fixed)
    return fixed + os.pread(descriptor, name + extra, member.offset + LOCAL_HEADER.size)


def _as_it_lies(descriptor: int, member: Member) -> Iterator[bytes]:
    """The bytes of a member in the old zip, in pieces: local header, content, and the sizes that may follow."""
    header = _local_header(descriptor, member)
    yield header
    start = member.offset + len(header)
    end = start + member.compressed
    for at in range(start, end, _BLOCK):
        block = os.pread(descriptor, min(_BLOCK, end - at), at)
        if len(block) < min(_BLOCK, end - at):
            raise zips.damaged(member, f"breaks off before its {member.compressed:,} bytes")
        yield block
    if LOCAL_HEADER.unpack_from(header)[2] & _SIZES_FOLLOW:
        yield _descriptor(os.pread(descriptor, max(one.size for one in _DESCRIPTORS), end), member)


def _descriptor(content: bytes, member: Member) -> bytes:
    sizes = member.crc, member.compressed, member.size
    for one in _DESCRIPTORS:
        if len(content) >= one.size:
            values = one.unpack_from(content)
            if values in (sizes, (_SIGNATURE, *sizes)):
                return content[: one.size]
    raise zips.damaged(member, "is not followed by its CRC-32 and sizes, as its header says")


def _stored(header: bytes, entry: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Local header and directory entry of a member after its content became another."""
    crc, size = deflate.crc32(content), len(content)
    local = list(LOCAL_HEADER.unpack_from(header))
    local[2] &= ~_SIZES_FOLLOW
    name, extra = header[LOCAL_HEADER.size :][: local[9]], _narrow(header[LOCAL_HEADER.size + local[9] :])
    local[3], local[6:9], local[10] = STORED, [crc, size, size], len(extra)
    listed = list(ENTRY.unpack_from(entry))
    end_of_name = ENTRY.size + listed[10]
    end_of_extra = end_of_name + listed[11]
    fields = _narrow(entry[end_of_name:end_of_extra])
    listed[3] &= ~_SIZES_FOLLOW
    listed[4], listed[7:10], listed[11], listed[16] = STORED, [crc, size, size], len(fields), 0
    return (
        LOCAL_HEADER.pack(*local) + name + extra,
        ENTRY.pack(*listed) + entry[ENTRY.size : end_of_name] + fields + entry[end_of_extra:],
    )


def _narrow(extra: bytes) -> bytes:
    """An extra field without its zip64 part."""
    before, _, after = _zip64(extra)
    return before + after


def _zip64(extra: bytes) -> tuple[bytes, bytes, bytes]:
    """What lies before, in and after the zip64 part of an extra field, the part without its tag and length."""
    at = 0
    while at + _FIELD.size <= len(extra):
        tag, length = _FIELD.unpack_from(extra, at)
        start, end = at + _FIELD.size, at + _FIELD.size + length
        if tag == ZIP64:
            return extra[:at], extra[start:end], extra[end:]
        at = end
    return extra, b"", b""


def _at(entry: bytes, offset: int) -> bytes:
    """A directory entry for a member that lies at another offset."""
    listed = list(ENTRY.unpack_from(entry))
    end_of_name = ENTRY.size + listed[10]
    end_of_extra = end_of_name + listed[11]
    before, wide, after = _zip64(entry[end_of_name:end_of_extra])
    # Size and compressed size come before it, if they are wide (4.5.3).
    place = 8 * (listed[8:10].count(IN_ZIP64))
    rest = wide[place + 8 :] if listed[16] == IN_ZIP64 else wide[place:]
    listed[16] = min(offset, IN_ZIP64)
    wide = wide[:place] + (struct.pack("<Q", offset) if offset >= IN_ZIP64 else b"") + rest
    extra = before + (_FIELD.pack(ZIP64, len(wide)) + wide if wide else b"") + after
    listed[11] = len(extra)
    return ENTRY.pack(*listed) + entry[ENTRY.size : end_of_name] + extra + entry[end_of_extra:]


def _end(entries: int, length: int, start: int, comment: bytes) -> bytes:
    """The records behind a directory; those of zip64 only where the others have no room."""
    wide = b""
    if entries >= _MOST_ENTRIES or max(length, start) >= IN_ZIP64:
        # Version 4.5 has zip64 (4.4.3.2); the record's own first 12 bytes do not count (4.3.14.1).
        wide = END64.pack(
            b"PK\x06\x06", END64.size - 12, 45, 45, 0, 0, entries, entries, length, start
        ) + LOCATOR64.pack(b"PK\x06\x07", 0, start + length, 1)
    few = min(entries, _MOST_ENTRIES)
    narrow = [min(value, IN_ZIP64) for value in (length, start)]
    return wide + END.pack(b"PK\x05\x06", 0, 0, few, few, *narrow, len(comment)) + comment


def _expected(member: Member, tables: Mapping[str, bytes]) -> Member:
    """A member of the new zip, but for its offset."""
    if (content := tables.get(member.name)) is None:
        return member._replace(offset=0)
    size, crc = len(content), deflate.crc32(content)
    return member._replace(offset=0, compressed=size, size=size, crc=crc, method=STORED)


def _check(path: Path, wanted: list[Member]) -> None:
    """Holds a new zip against what shall be in it, and reads every member."""
    found = [place.member for place in zips.directory(path).places]
    if [member._replace(offset=0) for member in found] != wanted:
        raise ArchiveError(
            f"{path} does not list what it was given", "the old zip's members, but for those that go", "try again"
        )
    zips.verify(path, found, label=f"verifying {path}")
