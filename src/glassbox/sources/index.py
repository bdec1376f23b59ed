"""The index of an archive: where its members lie, parsed once and read by every worker."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from glassbox import layout
from glassbox.files import atomic
from glassbox.sources.zip import Member, members

if TYPE_CHECKING:
    from pathlib import Path

#: The fields of a `Member`, in its order; offset and sizes in bytes.
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("offset", pa.int64()),
        ("compressed", pa.int64()),
        ("size", pa.int64()),
        ("crc", pa.uint32()),
        ("method", pa.uint8()),
    ]
)


def write(archive: Path, target: Path) -> list[Member]:
    """Writes the members of `archive` to `target` (Parquet, `SCHEMA`); the same archive gives the same bytes.

    Raises:
        ArchiveError: See `zip.members`; `target` stays as it was.
    """
    found = members(archive)
    table = pa.Table.from_pylist([member._asdict() for member in found], SCHEMA)
    with atomic(target) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return found


def read(source: str) -> list[Member]:
    """The members of a source's archive in archive order, without opening the archive.

    Raises:
        FileNotFoundError: The source was not downloaded yet.
    """
    with pq.ParquetFile(layout.members(source)) as index:
        table = index.read()
    return list(starmap(Member, zip(*(column.to_pylist() for column in table.columns), strict=True)))
