"""What a stage's outputs depend on besides its data: digests of its modules, locked versions of its packages."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from glassbox.artifacts import document
from glassbox.files import fingerprint
from glassbox.params.base import Sha256

#: The stage that makes these files.
STAGE = "code"
#: Path of a file from the project's root, with slashes -> the digest of what it does.
Modules = dict[str, Sha256]


class Code(NamedTuple):
    """The code that one stage runs, or one part of it."""

    modules: Modules  #: What it is made of.
    packages: dict[str, str]  #: Normalised name of a distribution -> its version in uv.lock.

    @property
    def sha256(self) -> str:
        """One digest of it all, in hexadecimal."""
        return fingerprint(self._asdict())


def path(name: str) -> Path:
    """The file of a stage, a cohort (`cohorts.nih`) or a part (`pixels`, `cell`), from the root of the project."""
    return Path("data/code") / f"{name}.json"


def write(name: str, code: Code, root: Path = Path()) -> None:
    """Writes `path(name)` below the project's root."""
    document.write(root / path(name), code._asdict(), STAGE)


def read(name: str, root: Path = Path()) -> Code:
    """Reads `path(name)` below the project's root."""
    return document.read_typed(root / path(name), STAGE, Code)
