"""What git says of a project, asked of its own command."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from glassbox.lineage.lock import LineageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def git(root: Path, *words: str) -> str:
    """What git prints in a project.

    Raises:
        LineageError: It fails.
    """
    return os.fsdecode(_run(root, words, b""))


def blobs(root: Path, names: Iterable[str]) -> dict[str, str]:
    """The ids of files that git holds, by their names (`commit:./path`), without those that it does not hold."""
    asked = list(names)
    said = _run(root, ("cat-file", "--batch-check=%(objectname)"), _lines(asked)).decode().splitlines()
    return {name: line for name, line in zip(asked, said, strict=True) if " " not in line}


def contents(root: Path, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes of files that git holds, by their ids: one process reads all of them."""
    asked = list(ids)
    said, position = _run(root, ("cat-file", "--batch=%(objectsize)"), _lines(asked)), 0
    for name in asked:
        size, _, _ = said[position : position + 32].partition(b"\n")
        start = position + len(size) + 1
        position = start + int(size) + 1
        yield name, said[start : position - 1]


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _run(root: Path, words: Iterable[str], given: bytes) -> bytes:
    command = ["git", *words]
    try:
        return subprocess.run(command, cwd=root, input=given, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode(errors="replace") or str(error)
        raise LineageError(
            f"git {command[1]} fails: {' '.join(said.split())}",
            "a repository of git",
            "run this in the project's root",
        ) from None
