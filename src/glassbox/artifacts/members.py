"""The index of an archive: where its members lie and what they hold, parsed once and read by every worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from glassbox.artifacts import table
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import fingerprint
from glassbox.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

#: The fields of a `Member`, in its order; offset and sizes in bytes.
_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("offset", pa.int64()),
        ("compressed", pa.int64()),
        ("size", pa.int64()),
        ("crc", pa.uint32()),
        ("method", pa.uint8()),
        ("sha256", pa.string()),
    ]
)


class Member(NamedTuple):
    """Where a member's bytes lie, and which they are."""

    name: str  #: Path inside the archive.
    offset: int  #: Offset of its local header in the file, in bytes.
    compressed: int  #: Size in the archive, in bytes.
    size: int  #: Size after inflating, in bytes.
    crc: int  #: CRC-32 of its content.
    method: int  #: 0 (stored) or 8 (deflated).
    #: Of its content; empty until it was read. The CRC-32 says too little: a PNG ends each chunk with one of its
    #: own, which leaves 16 bits to that of a file with one data chunk.
    sha256: str = ""


def path(source: str) -> Path:
    """Where the index of a source's archive lies."""
    return DATA / "archives" / f"{source}.members.parquet"


def contents(digests: Iterable[tuple[str, str]]) -> str:
    """One SHA-256 for all members, of each of which name and SHA-256 are given.

    Two zips of the same files share it although order, compression and dates, and so their bytes, differ.
    """
    return fingerprint(sorted(digests))


def write(source: str, members: Sequence[Member], archive_sha256: str) -> None:
    """Writes the members of a zip, in archive order and each with its SHA-256; the same give the same bytes."""
    rows = pa.Table.from_pylist([member._asdict() for member in members], _SCHEMA)
    facts = {"archive_sha256": archive_sha256}
    table.write(path(source), rows, f"download@{source}", facts, compression="zstd")


def read(source: str) -> tuple[list[Member], str]:
    """The members of a source's archive in archive order, without opening it, and the SHA-256 of the zip."""
    rows, facts = table.read(path(source), f"download@{source}", _SCHEMA)
    columns = (column.to_pylist() for column in rows.columns)
    return [Member(*row) for row in zip(*columns, strict=True)], str(facts["archive_sha256"])


def read_digests(source: str) -> tuple[list[tuple[str, str]], str]:
    """Name and SHA-256 of each member, and the SHA-256 of the zip; it takes a fraction of the memory of `read`."""
    rows, facts = table.read(path(source), f"download@{source}", _SCHEMA, ["name", "sha256"])
    names, digests = (column.to_pylist() for column in rows.columns)
    return list(zip(names, digests, strict=True)), str(facts["archive_sha256"])


def known(source: str, archive_sha256: str) -> list[Member]:
    """The members by an index that is there already, if it is whole and of these very bytes; else none."""
    try:
        members, of = read(source)
    except ArtifactError:
        return []
    return members if of == archive_sha256 else []
