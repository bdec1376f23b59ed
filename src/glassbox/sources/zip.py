"""Members of a zip, read in place: their offsets once, then `os.pread` and inflate, from any process."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassbox.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: A member is refused above this many bytes; a full-size NIH film has about 410,000.
LARGEST_MEMBER = 256 * 1024 * 1024
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1


@dataclass(frozen=True)
class Member:
    """Where a member's bytes lie.

    Attributes:
        name: Path inside the archive.
        offset: Offset of its local header in the file, in bytes.
        compressed: Stored size in bytes.
        size: Size after inflating, in bytes.
        crc: CRC-32 of its content.
        method: `zipfile.ZIP_STORED` or `zipfile.ZIP_DEFLATED`.
    """

    name: str
    offset: int
    compressed: int
    size: int
    crc: int
    method: int


def members(path: Path) -> list[Member]:
    """The files of an archive, in the order they lie in it.

    Raises:
        ArchiveError: `path` is not there or is no zip, or a member is encrypted, too large, compressed in a
            way that is not read in place, or has a name that leads out of the archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except FileNotFoundError:
        raise ArchiveError(f"{path} is not there", "a zip", "check the path of the source") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ArchiveError(
            f"{path} is no readable zip: {error}",
            "a whole zip archive",
            "fetch it again; a download that was cut looks like this",
        ) from None
    for entry in entries:
        if reason := _refusal(entry):
            raise ArchiveError(
                f"{path}: member {entry.filename!r} {reason}",
                "stored or deflated members with plain relative names",
                "make the archive again without it",
            )
    found = [
        Member(
            entry.filename,
            entry.header_offset,
            entry.compress_size,
            entry.file_size,
            entry.CRC,
            entry.compress_type,
        )
        for entry in entries
    ]
    return sorted(found, key=lambda member: member.offset)


def _refusal(entry: zipfile.ZipInfo) -> str | None:
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
        return "has a name that leads out of the archive"
    if (claimed := max(entry.file_size, entry.compress_size)) > LARGEST_MEMBER:
        return f"claims {claimed:,} bytes, more than {LARGEST_MEMBER:,}"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a symbolic link"
    return None


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yields a file descriptor of the archive for `read`; it may be shared by threads."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(descriptor: int, member: Member) -> bytes:
    """The content of a member, its size and CRC checked.

    Raises:
        ArchiveError: The bytes at its place are not the member's.
    """
    header = os.pread(descriptor, _LOCAL_HEADER.size, member.offset)
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise _damaged(member, "has no local header at its offset")
    # The name and the extra field of the local header may be longer than the central directory's.
    name_length, extra_length = _LOCAL_HEADER.unpack(header)[9:]
    start = member.offset + _LOCAL_HEADER.size + name_length + extra_length
    content = os.pread(descriptor, member.compressed, start)
    if member.method == zipfile.ZIP_DEFLATED:
        try:
            # One byte more than promised is enough to see that the promise is wrong.
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, member.size + 1)
        except zlib.error as error:
            raise _damaged(member, f"cannot be inflated ({error})") from None
    if len(content) != member.size:
        raise _damaged(member, f"has {len(content):,} bytes, not {member.size:,}")
    if zlib.crc32(content) != member.crc:
        raise _damaged(member, "has another CRC-32 than its entry")
    return content


def _damaged(member: Member, how: str) -> ArchiveError:
    return ArchiveError(f"member {member.name!r} {how}", "an intact archive", "fetch the archive again")
