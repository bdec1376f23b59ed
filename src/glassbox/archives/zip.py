"""Members of a zip, read in place: their offsets once, then `os.pread` and inflate, from any thread or process.

The directory is parsed here because `zipfile` checks too little: it neither counts entries nor sees them overlap,
cuts names at a NUL, decodes them differently from one Python to the next, and cannot say where a directory breaks.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import deflate
from tqdm import tqdm

from glassbox.archives.errors import ArchiveError
from glassbox.artifacts.members import Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: A member, and a directory, is refused above this many bytes; a full-size NIH film has about 410,000.
LARGEST_MEMBER = 256 * 1024 * 1024
#: Deflate's own limit, reached by matches of 258 bytes that take two bits: a larger claim is a lie.
LARGEST_RATIO = 1032
STORED, DEFLATED = 0, 8

# The records of PKWARE's APPNOTE.TXT 6.3: 4.3.7, 4.3.12, 4.3.16, 4.3.15 and 4.3.14.
_LOCAL = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
ENTRY = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
LOCATOR64 = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
#: A field of all ones says that its value lies in the zip64 extra field (4.5.3), whose tag this is.
IN_ZIP64, ZIP64 = 0xFFFF_FFFF, 0x0001
# General purpose flags (4.4.4): encrypted, strongly encrypted, or with a masked local header; a name in UTF-8.
_ENCRYPTED, _UTF8 = 0x0001 | 0x0040 | 0x2000, 0x0800
#: What `read` asks for beyond the shortest local header; Info-ZIP's extra field has 28 bytes.
_SLACK = 64
_LEADS_OUT = re.compile(r"[/\\]|[A-Za-z]:|(.*[/\\])?\.\.([/\\]|$)", re.DOTALL)
_NO_PATH = re.compile(r"[\0\\\ufffd]")


class Place(NamedTuple):
    """An entry of a directory: what it says, and its own bytes."""

    member: Member
    end: int  #: The offset before which the member cannot end.
    entry: bytes  #: As it stands in the directory, with its extra field and comment.


class Directory(NamedTuple):
    """What stands at the end of a zip."""

    places: list[Place]  #: By offset; folders too.
    start: int  #: Its own offset, behind all members.
    comment: bytes  #: Of the zip.


def members(path: Path) -> list[Member]:
    """The files of an archive, in the order they lie in it.

    Raises:
        ArchiveError: As `directory` does, or a member appears twice with different content.
    """
    files: dict[str, Member] = {}
    for member, *_ in directory(path).places:
        if member.name.endswith("/") and not member.size:
            continue  # a folder
        twin = files.setdefault(member.name, member)
        if (twin.size, twin.crc) != (member.size, member.crc):
            raise _refused(path, member.name, "appears twice with different content")
    return list(files.values())


def directory(path: Path) -> Directory:
    """The directory of an archive.

    Raises:
        ArchiveError: `path` is not there or is no whole zip, or a member is encrypted, too large, a bomb, a link,
            compressed in a way that is not read in place, overlaps another, or has a name that leads out of the
            archive.
    """
    try:
        with opened(path) as descriptor:
            found = _directory(descriptor, path)
            head = _pread(descriptor, len(_LOCAL), 0)
    except FileNotFoundError:
        raise ArchiveError(f"{path} is not there", "a zip", "check the path of the source") from None
    except OSError as error:
        raise _broken(path, error.strerror) from None
    places, start, _ = found
    for place, following in pairwise(places):
        if place.end > following.member.offset:
            raise _broken(path, f"member {place.member.name!r} overlaps {following.member.name!r}")
    if places and places[-1].end > start:
        raise _broken(path, f"member {places[-1].member.name!r} reaches into the directory")
    # Other bytes may come first, as in an archive that extracts itself; a member that is not listed may not.
    first = places[0].member.offset if places else start
    if first and (head == _LOCAL or not places):
        raise _broken(path, "its directory lacks what lies at its start")
    return found


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Yields a file descriptor of the archive for `read`; it may be shared by threads and forked processes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(descriptor: int, member: Member) -> bytes:
    """The content of a member, whose name, size and CRC are checked, and its SHA-256 where it is known.

    Raises:
        ArchiveError: The bytes at its place are not the member's.
    """
    content: bytes | memoryview = packed(descriptor, member)
    if member.method == DEFLATED:
        try:
            content = deflate.deflate_decompress(content, member.size)
        except deflate.DeflateError:
            raise damaged(member, f"cannot be inflated to {member.size:,} bytes") from None
    if len(content) != member.size:
        raise damaged(member, f"has {len(content):,} bytes, not {member.size:,}")
    if deflate.crc32(content) != member.crc:
        raise damaged(member, "has another CRC-32 than its entry")
    if member.sha256 and hashlib.sha256(content).hexdigest() != member.sha256:
        raise damaged(member, "has another SHA-256 than when it was fetched")
    return bytes(content)


def packed(descriptor: int, member: Member) -> memoryview:
    """The bytes of a member as they lie in the archive, still compressed: one system call in the usual case.

    Raises:
        ArchiveError: They are not there, or under another name.
    """
    size = member.compressed
    data = _pread(descriptor, LOCAL_HEADER.size + len(member.name.encode()) + _SLACK + size, member.offset)
    if len(data) < LOCAL_HEADER.size or not data.startswith(_LOCAL):
        raise damaged(member, "has no local header at its offset")
    _, _, flags, *_, name, extra = LOCAL_HEADER.unpack_from(data)
    start = LOCAL_HEADER.size + name
    if _text(data[LOCAL_HEADER.size : start], flags) != member.name:
        raise damaged(member, "has another name at its offset")
    start += extra
    if (lacking := start + size - len(data)) > 0:
        data += _pread(descriptor, lacking, member.offset + len(data))
    content = memoryview(data)[start : start + size]
    if len(content) < size:
        raise damaged(member, f"breaks off after {len(content):,} of {size:,} bytes")
    return content


def verify(path: Path, members: Sequence[Member], *, label: str) -> list[Member]:
    """Reads every member, with a progress bar named `label`; returns the members, each with its SHA-256.

    Raises:
        ArchiveError: A member is damaged; the first in the given order is named.
    """
    total = sum(member.compressed for member in members)
    read_ones = []
    with opened(path) as descriptor, tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None) as bar:
        for member in members:
            try:
                content = read(descriptor, member)
            except ArchiveError as damage:
                raise ArchiveError(f"{path}: {damage.found}", damage.expected, damage.action) from None
            read_ones.append(member._replace(sha256=hashlib.sha256(content).hexdigest()))
            bar.update(member.compressed)
    return read_ones


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    """As many bytes as there are up to `length`: one `pread` gives 2 GiB at most, and less on a signal."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
        data += more
    return data


def _directory(descriptor: int, path: Path) -> Directory:
    """The directory, of which each entry is checked by itself."""
    size = os.fstat(descriptor).st_size
    most = END64.size + LOCATOR64.size + END.size + 0xFFFF  # the longest comment
    tail = _pread(descriptor, most, max(0, size - most))
    # The end record is the last one whose comment reaches to the end of the file.
    ends = [at.start() for at in re.finditer(b"PK\x05\x06", tail) if at.start() + END.size <= len(tail)]
    fitting = [at for at in ends if at + END.size + END.unpack_from(tail, at)[-1] == len(tail)]
    if not fitting:
        raise _broken(path, "it does not end in an end record")
    at = fitting[-1]
    _, *disks, here, entries, length, offset, _ = END.unpack_from(tail, at)
    comment = tail[at + END.size :]
    if tail[max(0, at - LOCATOR64.size) : at].startswith(b"PK\x06\x07"):
        at -= LOCATOR64.size + END64.size
        if at < 0 or not tail.startswith(b"PK\x06\x06", at):
            raise _broken(path, "it has no zip64 end record before its locator")
        *_, disk, first, here, entries, length, offset = END64.unpack_from(tail, at)
        disks = [disk, first]
    if any(disks) or here != entries:
        raise _broken(path, "it is one part of a split archive")
    start = size - len(tail) + at - length
    if start < offset:
        raise _broken(path, f"{offset - start:,} bytes are missing before its end")
    if length > LARGEST_MEMBER:
        raise _broken(path, f"its directory claims {length:,} bytes, more than {LARGEST_MEMBER:,}")
    places = _places(_pread(descriptor, length, start), entries, start - offset, path)
    return Directory(sorted(places, key=lambda place: place.member.offset), start, comment)


def _places(content: bytes, entries: int, prefix: int, path: Path) -> Iterator[Place]:
    """Each entry of a directory, folders too, checked by itself.

    The directory promises so many entries, with offsets that count from the end of a prefix of so many bytes.
    """
    at, after = 0, "at its start"
    for number in range(entries):
        if len(content) - at < ENTRY.size or not content.startswith(b"PK\x01\x02", at):
            raise _broken(path, f"its directory breaks off {after} ({number:,} of {entries:,} entries)")
        entry = ENTRY.unpack_from(content, at)
        flags, method, crc, compressed, size = entry[3], entry[4], *entry[7:10]
        start, end_of_name = at, at + ENTRY.size + entry[10]
        end_of_extra = end_of_name + entry[11]
        name = _text(content[at + ENTRY.size : end_of_name], flags)
        at, after = end_of_extra + entry[12], f"after member {name!r}"
        if at > len(content):
            raise _broken(path, f"its directory breaks off in member {name!r}")
        size, compressed, offset = _wide(content[end_of_name:end_of_extra], size, compressed, entry[16])
        member = Member(name, offset + prefix, compressed, size, crc, method)
        if reason := next(_refusals(member, flags, entry[15] >> 16), None):
            raise _refused(path, name, reason)
        end = member.offset + LOCAL_HEADER.size + entry[10] + compressed
        yield Place(member, end, content[start:at])
    if at < len(content):
        raise _broken(path, f"its directory goes on {after}, the last of {entries:,}")


def _wide(extra: bytes, *narrow: int) -> Iterable[int]:
    """Size, compressed size and offset; what is all ones of these lies in the zip64 extra field, in this order."""
    while IN_ZIP64 in narrow and len(extra) >= 4:
        tag, length = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        if tag == ZIP64:
            wide = iter(struct.unpack_from(f"<{len(field) // 8}Q", field))
            return [next(wide, value) if value == IN_ZIP64 else value for value in narrow]
    return narrow


def _text(raw: bytes, flags: int) -> str:
    """A name as the flags beside it say (appendix D); U+FFFD stands for what is no text."""
    return raw.decode("utf-8" if flags & _UTF8 else "cp437", "replace")


def _refusals(member: Member, flags: int, mode: int) -> Iterator[str]:
    """Why a member is not read: its kind, its name, or the sizes that it claims."""
    name, _, compressed, size, _, method, _ = member
    if flags & _ENCRYPTED:
        yield "is encrypted"
    if method not in {STORED, DEFLATED}:
        yield f"is compressed by method {method}"
    if stat.S_ISLNK(mode):
        yield "is a symbolic link"
    if _LEADS_OUT.match(name):
        yield "has a name that leads out of the archive"
    if not name or _NO_PATH.search(name):
        yield "has a name that is no plain path"
    if (claimed := max(size, compressed)) > LARGEST_MEMBER:
        yield f"claims {claimed:,} bytes, more than {LARGEST_MEMBER:,}"
    if method == STORED and size != compressed:
        yield f"is stored in {compressed:,} bytes and claims {size:,}"
    if size > LARGEST_RATIO * compressed:
        yield f"claims to inflate {compressed:,} bytes to {size:,}, more than deflate can"


def _broken(path: Path, why: str | None) -> ArchiveError:
    return ArchiveError(
        f"{path} is no readable zip: {why}",
        "a whole zip archive",
        "fetch it again; a download that was cut looks like this",
    )


def _refused(path: Path, name: str, why: str) -> ArchiveError:
    return ArchiveError(
        f"{path}: member {name!r} {why}",
        "stored or deflated members with plain relative names",
        "make the archive again without it",
    )


def damaged(member: Member, how: str) -> ArchiveError:
    """The refusal of a member whose bytes are not its own."""
    return ArchiveError(f"member {member.name!r} {how}", "an intact archive", "fetch the archive again")
