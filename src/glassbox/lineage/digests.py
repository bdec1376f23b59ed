"""Sums of files, read once each and side by side: MD5, by which DVC knows them, and SHA-256 of rows."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from glassbox.processor import cores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Bytes that are read at once. Hashes of so many are computed without Python's lock.
_BLOCK = 4 * 1024 * 1024


class Rows(NamedTuple):
    """Pieces of a file that lie one after the other."""

    offset: int  #: Of the first, in bytes.
    length: int  #: Of each, in bytes; at least 1.
    number: int  #: How many.


class Sums(NamedTuple):
    """What came of reading a file."""

    md5: str
    #: In bytes.
    size: int
    #: Of its rows, in their order; of one that the file does not hold wholly, none.
    sha256: tuple[str, ...] = ()


def sums(path: Path, rows: Rows | None = None, bar: tqdm[Any] | None = None) -> Sums:
    """The MD5 of a file and the SHA-256 of each of its rows, in hexadecimal; it is read once, in blocks.

    Args:
        path: The file.
        rows: Where they lie, if there are any.
        bar: Told how many bytes were read.
    """
    whole, running, found = hashlib.md5(usedforsecurity=False), hashlib.sha256(), []
    # Where the row that is being read begins.
    start, length, left = rows or Rows(0, 1, 0)
    position, block = 0, memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            whole.update(block[:count])
            end = position + count
            while left and start < end:
                running.update(block[max(start - position, 0) : min(start + length, end) - position])
                if start + length > end:
                    break
                found.append(running.hexdigest())
                running, start, left = hashlib.sha256(), start + length, left - 1
            position = end
            if bar is not None:
                bar.update(count)
    return Sums(whole.hexdigest(), position, tuple(found))


def all_sums(wanted: Mapping[Path, Rows | None], label: str) -> dict[Path, Sums]:
    """The sums of many files, as many at once as there are cores; a file under two names is read once.

    Args:
        wanted: Files that are there, and their rows.
        label: Of the progress bar.
    """
    # Hard links, as of DVC's cache and the workspace.
    first: dict[tuple[int, int], Path] = {}
    stats = {path: path.stat() for path in wanted}
    for path, rows in wanted.items():
        key = stats[path].st_dev, stats[path].st_ino
        if key not in first or rows:
            first[key] = path
    total = sum(stats[path].st_size for path in first.values())
    with (
        ThreadPoolExecutor(cores(), "sums") as pool,
        tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None, delay=1) as bar,
    ):
        # The largest first: they end together.
        ordered = sorted(first.values(), key=lambda path: -stats[path].st_size)
        found = dict(zip(ordered, pool.map(lambda path: sums(path, wanted[path], bar), ordered), strict=True))
    return {path: found[first[stats[path].st_dev, stats[path].st_ino]] for path in wanted}
