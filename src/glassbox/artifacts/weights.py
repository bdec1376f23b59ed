"""Initial weights on disk: a Keras weights file of a backbone, or the word that random ones are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import damage, document
from glassbox.files import atomic, sha256_file
from glassbox.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "backbone.weights.h5"
_RECORD = "weights.json"


class Initial(NamedTuple):
    """Initial weights: their file and its SHA-256; None and `none` where random ones are meant."""

    path: Path | None
    sha256: str


def folder(name: str) -> Path:
    """Where initial weights lie."""
    return DATA / "weights" / name


def write(name: str, save: Callable[[Path], None] | None) -> None:
    """Writes the weights and beside them their SHA-256.

    Args:
        name: Key of the weights.
        save: Writes the file to the path it is given; None says that random weights are meant, not that some
            were lost.
    """
    with atomic(folder(name)) as temporary:
        temporary.mkdir()
        if save is not None:
            save(temporary / FILE)
        sha256 = None if save is None else sha256_file(temporary / FILE)
        document.write(temporary / _RECORD, {"sha256": sha256}, f"weights@{name}")


def sha256_of(name: str) -> str:
    """The SHA-256 that the weights were written with, or `none`; the file itself is not looked at.

    Raises:
        ArtifactError: The record is missing or damaged.
    """
    return str(document.read(folder(name) / _RECORD, f"weights@{name}").get("sha256") or "none")


def read(name: str) -> Initial:
    """The weights, once they are those that were written."""
    path, sha256 = folder(name) / FILE, sha256_of(name)
    if sha256 == "none":
        return Initial(None, sha256)
    damage.verify(path, sha256, f"weights@{name}")
    return Initial(path, sha256)
