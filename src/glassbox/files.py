"""Files that are whole or absent: atomic writers, hashes and the lock of a stage."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import filelock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is synced and renamed to `path`.

    The name is unique, so that a writer orphaned by `kill -9` and its successor never share one, and keeps
    the suffix of `path`, by which many writers choose their format. Works for a file and for a folder. On an
    error nothing is left behind; what a killed writer left is removed by the next one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.stem)}.{'[0-9a-f]' * 32}{glob.escape(path.suffix)}"):
        _remove(left)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        for entry in (*temporary.glob("*"), temporary):  # a folder with what lies right inside it
            _flush(entry)
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    r"""Writes UTF-8 text atomically, with `\\n` line ends on every system."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically: two spaces, keys in the given order, NaN refused, a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_object(path: Path) -> dict[str, Any]:
    """An object from a JSON file; an empty one where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The SHA-256 of a JSON-able value in canonical form (sorted keys, no spaces), in hexadecimal."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds an operating-system lock on `path` while the block runs; waits for another holder and says so.

    The lock dies with its process. `kill -9` of DVC leaves the stage it started running: the stage's successor
    waits here until the orphan is done, instead of writing over it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"{what} is still running in another process: waiting for it ({path})", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
