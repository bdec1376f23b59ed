"""What the folds of a split share, as `metrics/splits/<split>/leakage.json` counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from glassbox.artifacts import document
from glassbox.params.base import Frozen
from glassbox.paths import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Leak(Frozen):
    """How much of one kind two folds share."""

    #: Names of two folds: `train-test`.
    folds: str
    #: `patients`, `images` or `identical_files`.
    what: str
    shared: NonNegativeInt


def folder(split: str) -> Path:
    """Where the counts of a split lie, in git: what folds share, and its classes."""
    return METRICS / "splits" / split


def write(split: str, target: Path, leaks: Sequence[Leak]) -> None:
    """Writes the counts of a split into a folder, one entry a pair of folds and kind."""
    content = {"shared_by_folds": [leak.model_dump() for leak in leaks]}
    document.write(target / "leakage.json", content, f"split@{split}")


def read(split: str) -> list[Leak]:
    """Every pair of folds of a split with what they share, pairs that share nothing included."""
    return document.read_typed(folder(split) / "leakage.json", f"split@{split}", list[Leak], "shared_by_folds")
