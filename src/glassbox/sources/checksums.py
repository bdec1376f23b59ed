"""Checksums of a large file: however many are asked for, it is read once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_BLOCK = 4 * 1024 * 1024


def checksums(path: Path, *algorithms: str, copy: BinaryIO | None = None) -> list[str]:
    """Reads a file with a progress bar.

    Args:
        path: The file.
        algorithms: Names that `hashlib` knows.
        copy: Where the bytes that were summed go as well.

    Returns:
        The sums in hexadecimal, in the order of `algorithms`.
    """
    sums = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
    with (
        path.open("rb") as stream,
        tqdm(total=path.stat().st_size, desc=f"reading {path}", unit="B", unit_scale=True, disable=None) as bar,
    ):
        while block := stream.read(_BLOCK):
            for running in sums:
                running.update(block)
            if copy:
                copy.write(block)
            bar.update(len(block))
    return [running.hexdigest() for running in sums]
