"""Whether a file holds patients: read as what it is, and searched for pieces of their images."""

from __future__ import annotations

import csv
import io
import json
import mmap
import sqlite3
import zipfile
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import h5py
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from glassbox.params import withdrawn as lists

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from glassbox.lineage.erasure.marks import Marks

_SQLITE = b"SQLite format 3\0"
_ERRORS = (sqlite3.Error, zipfile.BadZipFile)
#: A text above this many bytes is searched, not parsed: no stage writes one.
_LARGEST_TEXT = 64 * 1024 * 1024
_TEXTS = (".csv", ".tsv", ".txt", ".json")
#: What a member of a table without the ids of images is called where it is about patients.
_KEYS, _VALUES = ("key", "tag_key", "name"), ("value", "tag_value")


def holds(path: Path, name: str, marks: Marks, *, ids: bool = True) -> str:
    """What a file has of patients, in a few words; nothing where it has nothing.

    Args:
        path: The file.
        name: What it is called in the project; in DVC's cache files have no names of their own.
        marks: What gives them away.
        ids: Whether ids count. In another source's files they are somebody else's.
    """
    if ids and marks.name(name):
        return "is named after an image of theirs"
    if ids and name.endswith(lists.path(marks.source).as_posix()):
        named = any(map(marks.is_patient, path.read_text(encoding="utf-8", errors="replace").splitlines()))
        return "lists a patient" if named else ""
    if found := _typed(path, marks, ids=ids):
        return found
    return "has bytes of an image of theirs" if marks.windows.found_in(path) else ""


def _typed(path: Path, marks: Marks, *, ids: bool) -> str:
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
    read = next((read for first, read in _READERS.items() if head.startswith(first)), None)
    if not ids:
        return _zip(path, marks, ids=False) if read is _zip else ""
    # What is damaged is searched as the bytes that it is.
    with suppress(OSError, ValueError, LookupError, RuntimeError, pa.ArrowException, *_ERRORS):
        if read is not None:
            return read(path, marks)
    if path.stat().st_size > _LARGEST_TEXT:
        with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as content:
            return "names an image of theirs" if marks.in_bytes.search(content) else ""
    return text(path.read_bytes(), marks)


def _zip(path: Path, marks: Marks, *, ids: bool = True) -> str:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if ids and marks.name(member.filename):
                return "has an image of theirs"
            if (member.CRC, member.file_size) in marks.sums:
                return "has a file of theirs"
            if ids and member.filename.endswith(_TEXTS) and text(archive.read(member), marks):
                return f"names them in {member.filename}"
    return ""


def _parquet(path: Path, marks: Marks) -> str:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for column in batch.schema.names:
                if _column(batch[column], column, marks):
                    return f"names them in column {column}"
    return ""


def _column(values: Any, name: str, marks: Marks) -> bool:
    """Whether a column of a table has one of them, in a list or a struct, too."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _column(values.dictionary_decode(), name, marks)
    if pa.types.is_struct(kind):
        return any(_column(values.field(at), kind[at].name, marks) for at in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _column(values.flatten(), name, marks)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not is_text and not (marks.about(name) and pa.types.is_integer(kind)):
        return False
    every = pc.unique(values).to_pylist()
    return any(
        (is_text and marks.name(value)) or (marks.about(name) and marks.is_patient(value))
        for value in every
        if value is not None
    )


def _hdf5(path: Path, marks: Marks) -> str:
    found = []

    def visit(name: str, node: Any) -> None:
        said = [name, *(f"{key}={_plain(value)}" for key, value in node.attrs.items())]
        if any(map(marks.name, said)) or any(
            marks.about(key) and marks.is_patient(_plain(value)) for key, value in node.attrs.items()
        ):
            found.append(name)
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "OS":
            column = node[()].ravel().tolist() if node.shape else [node[()]]
            about = marks.about(name.rpartition("/")[2])
            if any(marks.name(value) or (about and marks.is_patient(value)) for value in map(_plain, column)):
                found.append(name)

    with h5py.File(path, "r") as file:
        visit("/", file)
        file.visititems(visit)
    return f"names them in {found[0]}" if found else ""


def _plain(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def rows_in(path: Path, marks: Marks) -> Iterator[tuple[str, int]]:
    """The rows of an SQLite database that have one of them: table and `rowid`."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = store.execute(f'SELECT rowid, * FROM "{table}"')  # noqa: S608 (a name of its own)
            columns = [column for column, *_ in rows.description[1:]]
            for number, *cells in rows:
                if _row(dict(zip(columns, cells, strict=True)), marks):
                    yield table, number


def _row(cells: dict[str, Any], marks: Marks) -> bool:
    key = next((str(cells[name]) for name in _KEYS if name in cells), "")
    for column, value in cells.items():
        about = marks.about(column) or (column in _VALUES and marks.about(key))
        if about and marks.is_patient(value):
            return True
        if isinstance(value, str | bytes) and text(_plain(value).encode(), marks):
            return True
    return False


def _sqlite(path: Path, marks: Marks) -> str:
    tables = sorted({table for table, _ in rows_in(path, marks)})
    return f"names them in {', '.join(tables)}" if tables else ""


def text(content: bytes, marks: Marks) -> str:
    """What a text has of them: JSON, one a file or one a line, YAML and CSV are read as such."""
    if marks.in_bytes.search(content) or any(one.encode() in content for one in marks.hashes):
        return "names an image of theirs"
    if b"patient" not in content.lower() and b"withdrawn" not in content:
        return ""
    try:
        said = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    if any(_value(document, "", marks) for document in _documents(said)) or _csv(said, marks):
        return "names a patient"
    return ""


#: The first bytes of what is read by its structure.
_READERS = {b"PAR1": _parquet, b"\x89HDF\r\n\x1a\n": _hdf5, b"PK\x03\x04": _zip, _SQLITE: _sqlite}


def _documents(said: str) -> Iterator[Any]:
    """What a text says as JSON or YAML, if it does."""
    try:
        yield json.loads(said)
    except (ValueError, RecursionError):
        pass
    else:
        return
    try:
        yield from [json.loads(line) for line in said.splitlines()]
    except (ValueError, RecursionError):
        pass
    else:
        return
    try:
        yield yaml.load(said, yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return


def _value(value: Any, key: str, marks: Marks) -> bool:
    """Whether a value under a key, or in it, is one of the patients. A number of patients is none."""
    if isinstance(value, dict):
        if key == "withdrawn":
            return _value(value.get(marks.source), key, marks)
        return any(_value(inner, str(name), marks) for name, inner in value.items())
    if isinstance(value, list):
        return any(_value(inner, key, marks) for inner in value)
    if key.lower() in ("patients", "withdrawn") and not isinstance(value, str):
        return False  # it counts them
    return (marks.about(key) or key.lower() == "patients") and marks.is_patient(value)


def _csv(said: str, marks: Marks) -> bool:
    rows = csv.reader(io.StringIO(said))
    try:
        header = next(rows, [])
        columns = [at for at, name in enumerate(header) if marks.about(name.strip())]
        return any(marks.is_patient(row[at]) for row in rows if columns for at in columns if at < len(row))
    except csv.Error:
        return False
