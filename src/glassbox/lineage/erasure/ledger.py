"""The ledger of erasures, in git: which objects were removed for the patients who were erased from a source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.errors import GlassboxError
from glassbox.files import write_text
from glassbox.params.withdrawn import LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What its name ends with, after the source.
SUFFIX = ".erased.txt"
_LINE = re.compile(r"(?P<md5>[0-9a-f]{32}(\.dir)?) (?P<path>\S.*)")


class ErasureError(GlassboxError):
    """An erasure that cannot be, or that did not get everything."""


def path(source: str) -> Path:
    """Where the ledger of a source lies: `MD5 path` a line, as dvc.lock names both; of a folder also its files."""
    return LISTS / f"{source}{SUFFIX}"


def read(source: str, root: Path | None = None) -> dict[str, str]:
    """MD5 -> path of what was removed; nothing where nobody was ever erased.

    Args:
        source: Key of the source.
        root: The project's folder; without it, the current one.

    Raises:
        ErasureError: A line is none.
    """
    place = (root or Path()) / path(source)
    if not place.is_file():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ErasureError(
                f"{path(source)}, line {number}: {line!r}",
                "the MD5 of an object that was removed, and its path",
                f"run `git checkout {path(source)}`",
            )
        found[match["md5"]] = match["path"]
    return found


def write(source: str, removed: Mapping[str, str]) -> None:
    """Adds objects to the ledger of a source; nothing ever leaves it."""
    every = read(source) | dict(removed)
    lines = sorted(f"{md5} {at}\n" for md5, at in every.items())
    if every != read(source):
        write_text(path(source), "".join(lines))


def erased(root: Path) -> dict[str, Path]:
    """MD5 -> the ledger that has it, of all ledgers of a project."""
    places = sorted((root / LISTS).glob(f"*{SUFFIX}"))
    sources = [place.name.removesuffix(SUFFIX) for place in places]
    return {md5: path(source) for source in sources for md5 in read(source, root)}
