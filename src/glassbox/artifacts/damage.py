"""The one refusal of what passes between stages: which file it is, what is wrong with it, who makes it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pydantic

from glassbox.errors import GlassboxError
from glassbox.files import sha256_file
from glassbox.paths import METRICS

if TYPE_CHECKING:
    from pathlib import Path

#: Characters that a message spends on what is wrong, which may quote a damaged file.
_LENGTH = 400


class ArtifactError(GlassboxError):
    """A file that one stage wrote for another is missing, or is not what was written.

    Args:
        path: The file.
        what: What is wrong with it, as the end of a sentence that begins with its path.
        stage: The stage that makes it, as `dvc repro` takes it: `split@infiltration`.
    """

    def __init__(self, path: Path, what: str, stage: str) -> None:
        line = " ".join(what.split())
        keeper = "git" if path.is_relative_to(METRICS) else "dvc"
        super().__init__(
            f"{path} {line if len(line) <= _LENGTH else f'{line[:_LENGTH]}…'}",
            f"the file as stage {stage} wrote it",
            f"run `{keeper} checkout {path}`, or `dvc repro --force {stage}`, which makes it anew",
        )


def identity(path: Path, stage: str) -> str:
    """What a file says it is, so that no other whole one passes for it: the stage that makes it, and its name."""
    return f"{stage} {path.name}"


def identify(path: Path, found: object, stage: str) -> None:
    """Compares what a file says it is with what it has to be.

    Raises:
        ArtifactError: It is another one.
    """
    if found != (wanted := identity(path, stage)):
        raise ArtifactError(path, f"is another file: {found}, not {wanted}", stage)


def typed(path: Path, found: object, kind: Any, stage: str) -> Any:
    """What a whole file holds, as its type.

    Args:
        path: The file, for messages.
        found: Its content.
        kind: A type that pydantic checks.
        stage: The stage that makes it.

    Raises:
        ArtifactError: Another version of this program wrote it.
    """
    try:
        return pydantic.TypeAdapter(kind).validate_python(found)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArtifactError(path, f"is of another version: {where}: {first['msg']}", stage) from None


def content(path: Path, stage: str) -> bytes:
    """The bytes of a file, unchecked.

    Raises:
        ArtifactError: It is missing, or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unread(path, error, stage) from None


def bytes_of(path: Path, sha256: object, stage: str) -> bytes:
    """The bytes of a file that a record elsewhere describes.

    Raises:
        ArtifactError: It is missing, or has another SHA-256.
    """
    found = content(path, stage)
    _compare(path, hashlib.sha256(found).hexdigest(), sha256, stage)
    return found


def sha256_of(path: Path, stage: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, however large it is.

    Raises:
        ArtifactError: It is missing, or cannot be read.
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise _unread(path, error, stage) from None


def verify(path: Path, sha256: object, stage: str) -> None:
    """Compares a file, however large it is, with the record elsewhere that describes it.

    Raises:
        ArtifactError: It is missing, or has another SHA-256.
    """
    _compare(path, sha256_of(path, stage), sha256, stage)


def _compare(path: Path, found: str, wanted: object, stage: str) -> None:
    if found != wanted:
        raise ArtifactError(path, f"has the SHA-256 {found}, not {wanted}", stage)


def _unread(path: Path, error: OSError, stage: str) -> ArtifactError:
    what = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
    return ArtifactError(path, what, stage)
