"""Sums of files, read once each and side by side: MD5, by which DVC knows them, and SHA-256 of parts."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from glassbox.processor import cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Bytes that are read at once. Hashes of so many are computed without Python's lock.
_BLOCK = 4 * 1024 * 1024


class Part(NamedTuple):
    """A piece of a file."""

    offset: int  #: In bytes.
    length: int  #: In bytes.


class Sums(NamedTuple):
    """What came of reading a file."""

    md5: str
    #: Of its parts, in their order.
    sha256: tuple[str, ...] = ()


def sums(path: Path, parts: Sequence[Part] = (), bar: tqdm[Any] | None = None) -> Sums:
    """The MD5 of a file and the SHA-256 of parts of it, in hexadecimal; it is read once, in blocks.

    Args:
        path: The file.
        parts: By offset, none reaching into another.
        bar: Told how many bytes were read.
    """
    whole, found = hashlib.md5(usedforsecurity=False), []
    waiting = iter(parts)
    part = next(waiting, None)
    running = hashlib.sha256()
    position, block = 0, memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            whole.update(block[:count])
            while part and part.offset < position + count:
                start = max(part.offset, position)
                end = min(part.offset + part.length, position + count)
                running.update(block[start - position : end - position])
                if end < part.offset + part.length:
                    break
                found.append(running.hexdigest())
                part, running = next(waiting, None), hashlib.sha256()
            position += count
            if bar is not None:
                bar.update(count)
    # Parts that the file does not reach have no sum, and none that is expected is empty.
    found += [""] * (len(parts) - len(found))
    return Sums(whole.hexdigest(), tuple(found))


def all_sums(wanted: Mapping[Path, Sequence[Part]], label: str) -> dict[Path, Sums]:
    """The sums of many files, as many at once as there are cores; a file under two names is read once.

    Args:
        wanted: Files that are there, and parts of them.
        label: Of the progress bar.
    """
    # Hard links, as of DVC's cache and the workspace.
    first: dict[tuple[int, int], Path] = {}
    stats = {path: path.stat() for path in wanted}
    for path, parts in wanted.items():
        key = stats[path].st_dev, stats[path].st_ino
        if key not in first or len(parts) > len(wanted[first[key]]):
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
