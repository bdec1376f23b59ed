"""A small archive in NIH's layout, and ways to write it wrong; what tests of the zip's reader share."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILM, TABLE, EMPTY = "images_001/images/00000001_000.png", "Data_Entry_2017.csv", "empty.txt"
NOISE = np.random.default_rng(7).bytes(20_000)
CONTENTS = {FILM: NOISE, TABLE: b"Image Index,Finding Labels\n" * 500, EMPTY: b""}


def write(
    path: Path,
    method: int = zipfile.ZIP_DEFLATED,
    change: Callable[[zipfile.ZipFile], object] = zipfile.ZipFile.namelist,
) -> Path:
    """An archive of `CONTENTS`; `change` may alter what its directory will say: the content is written by then."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in CONTENTS.items():
            archive.writestr(name, content)
        change(archive)
    return path


def write_twice(path: Path, one: bytes, other: bytes) -> None:
    """An archive of two members of one name, `a.png`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", one)
        archive.writestr("b.png", other)
    path.write_bytes(path.read_bytes().replace(b"b.png", b"a.png"))


def write_beyond_4_gib(path: Path) -> Path:
    """An archive of 5 GiB, nearly all of it a hole, with a member on either side of the hole."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("near.png", NOISE)
        archive.start_dir = 5 << 30
        archive.writestr("far.png", NOISE[::-1])
    return path
