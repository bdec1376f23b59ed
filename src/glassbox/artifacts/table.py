"""Parquet that says what it is and carries the SHA-256 of all its bytes: no other value or file passes for it.

Page checksums do not cover the footer, in which a flipped bit changes values, types and metadata silently.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from glassbox.artifacts import damage
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Key of the digest in the footer. The file is written with a blank in its place and hashed; then it is filled in.
_KEY = b"content_sha256"
_MARK, _BLANK = b"sha256:", b"-" * 64
#: What the file is, and the facts.
_IDENTITY, _FACTS = b"artifact", b"facts"


class Table(NamedTuple):
    """What a Parquet file holds: its rows, and the facts that stand in its metadata."""

    rows: pa.Table
    facts: dict[str, Any]


def write(
    path: Path, rows: pa.Table, stage: str, facts: Mapping[str, Any] | None = None, compression: str = "snappy"
) -> None:
    """Writes rows, and facts that are true of all of them, atomically; the same give the same bytes.

    The metadata of the rows' own schema are left out; the facts are JSON; the compression is as PyArrow names it.
    """
    metadata = {
        _IDENTITY: damage.identity(path, stage),
        _FACTS: json.dumps(dict(facts or {}), sort_keys=True),
        _KEY: _MARK + _BLANK,
    }
    with atomic(path) as temporary:
        pq.write_table(rows.replace_schema_metadata(metadata), temporary, compression=compression)
        content = bytearray(temporary.read_bytes())
        start = content.rfind(_MARK + _BLANK) + len(_MARK)
        content[start : start + len(_BLANK)] = _digest(content, start)
        temporary.write_bytes(content)


def read(path: Path, stage: str, schema: pa.Schema | None = None, columns: list[str] | None = None) -> Table:
    """The rows of a file that `write` wrote, and its facts.

    Args:
        path: The file.
        stage: The stage that makes it.
        schema: The columns it has to have, in their order, or None to look at them afterwards.
        columns: Those to read, or None for all.
    """
    content = damage.content(path, stage)
    # Before PyArrow sees it, whose parser of the footer may do anything with a damaged one.
    start = content.rfind(_MARK) + len(_MARK)
    if content[start : start + len(_BLANK)] != _digest(content, start):
        raise ArtifactError(path, "was changed: its content has another SHA-256 than it states, if any", stage)
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        metadata, found = file.metadata.metadata, file.schema_arrow.remove_metadata()
        damage.identify(path, metadata.get(_IDENTITY, b"").decode(), stage)
        rows = file.read(columns=columns)
    if schema is not None and not found.equals(schema):
        said = ", ".join(f"{field.name} {field.type}" for field in found)
        raise ArtifactError(path, f"has the columns {said}", stage)
    return Table(rows.replace_schema_metadata(None), json.loads(metadata[_FACTS]))


def _digest(content: bytes | bytearray, start: int) -> bytes:
    """The SHA-256, in hexadecimal, of a file as it was when the digest that begins there was blank."""
    view, found = memoryview(content), hashlib.sha256()
    # Piece by piece: a table may take a good part of the memory there is.
    for piece in (view[:start], _BLANK, view[start + len(_BLANK) :]):
        found.update(piece)
    return found.hexdigest().encode()
