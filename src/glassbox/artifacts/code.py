"""What a stage's outputs depend on besides its data: digests of its modules, locked versions of its packages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from glassbox.artifacts import document
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import fingerprint

#: The stage that makes these files.
STAGE = "code"

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Code(NamedTuple):
    """The code that one stage runs, or one part of it.

    Attributes:
        modules: Path of a file from the project's root, with slashes -> the digest of what it does: 64 hexadecimal
            digits.
        packages: Normalised name of a distribution -> its version in uv.lock.
    """

    modules: dict[str, str]
    packages: dict[str, str]

    @property
    def sha256(self) -> str:
        """One digest of it all, in hexadecimal."""
        return fingerprint(self._asdict())


def path(name: str) -> Path:
    """The file of a stage, of a cohort (`cohorts.nih`), or of the pixels (`pixels`); from the project's root."""
    return Path("data/code") / f"{name}.json"


def write(name: str, code: Code, root: Path = Path()) -> None:
    """Writes `path(name)` below the project's root."""
    document.write(root / path(name), code._asdict(), STAGE)


def read(name: str, root: Path = Path()) -> Code:
    """Reads `path(name)` below the project's root.

    Raises:
        ArtifactError: The file is missing, was changed, or does not say what such a file says.
    """
    file = root / path(name)
    content = document.read(file, STAGE)
    if set(content) != set(Code._fields):
        raise ArtifactError(
            file, f"has the keys {', '.join(sorted(content))}, not {', '.join(Code._fields)}", STAGE
        )
    for key, entries in content.items():
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            raise ArtifactError(file, f"has under {key} no object of strings", STAGE)
    for module, digest in content["modules"].items():
        if not _SHA256.fullmatch(digest):
            raise ArtifactError(file, f"has for {module} no SHA-256 but {digest!r}", STAGE)
    return Code(**content)
