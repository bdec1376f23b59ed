"""The one refusal of what passes between stages: which file it is, what is wrong with it, who makes it.

In every function `stage` is the stage that makes the file, as `dvc repro` takes it: `split@infiltration`.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import pydantic

from glassbox.errors import GlassboxError
from glassbox.files import sha256_file
from glassbox.paths import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T = TypeVar("T")
#: Characters that a message spends on what is wrong, which may quote a damaged file.
_LENGTH = 400


class ArtifactError(GlassboxError):
    """A file that one stage wrote for another is missing, or is not what was written.

    Args:
        path: The file.
        what: What is wrong with it, as the end of a sentence that begins with its path.
        stage: The stage that makes it.
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
    """Refuses a file that says it is another one."""
    if found != (wanted := identity(path, stage)):
        raise ArtifactError(path, f"is another file: {found}, not {wanted}", stage)


def typed(path: Path, found: object, kind: type[T], stage: str) -> T:
    """What a whole file holds, as a type that pydantic checks; refused where another version of us wrote it."""
    try:
        return pydantic.TypeAdapter(kind).validate_python(found)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ArtifactError(path, f"is of another version: {where}: {first['msg']}", stage) from None


def content(path: Path, stage: str) -> bytes:
    """The bytes of a file, unchecked."""
    with _reading(path, stage):
        return path.read_bytes()


def bytes_of(path: Path, sha256: object, stage: str) -> bytes:
    """The bytes of a file, of which a record elsewhere says what SHA-256 they have."""
    found = content(path, stage)
    _compare(path, hashlib.sha256(found).hexdigest(), sha256, stage)
    return found


def sha256_of(path: Path, stage: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, however large it is."""
    with _reading(path, stage):
        return sha256_file(path)


def verify(path: Path, sha256: object, stage: str) -> None:
    """Refuses a file, however large it is, that has another SHA-256 than a record elsewhere says."""
    _compare(path, sha256_of(path, stage), sha256, stage)


def _compare(path: Path, found: str, wanted: object, stage: str) -> None:
    if found != wanted:
        raise ArtifactError(path, f"has the SHA-256 {found}, not {wanted}", stage)


@contextmanager
def _reading(path: Path, stage: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(path, "is not there", stage) from None
    except OSError as error:
        raise ArtifactError(path, f"cannot be read: {error.strerror}", stage) from None
