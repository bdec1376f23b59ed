"""What the folds of a split share, as `metrics/splits/<split>/leakage.json` counts it, and in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pydantic
from pydantic import NonNegativeInt

from glassbox import layout
from glassbox.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Leak(pydantic.BaseModel):
    """How much of one kind two folds share."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    #: Names of two folds: `train-test`.
    folds: str
    #: `patients`, `images` or `identical_files`.
    what: str
    shared: NonNegativeInt


_LEAKS = pydantic.TypeAdapter(list[Leak])


def read(split: str) -> list[Leak]:
    """Every pair of folds of a split with what they share, pairs that share nothing included.

    Raises:
        ReportError: The file is missing or does not hold these counts.
    """
    path, action = layout.METRICS / "splits" / split / "leakage.json", "run `dvc repro` to split anew"
    try:
        leaks = _LEAKS.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ReportError(f"{path} is not there", "what the folds of the split share", action) from None
    except ValueError as error:
        raise ReportError(
            f"{path} holds no counts: {str(error).splitlines()[0]}", "folds, what and shared of every pair", action
        ) from None
    if not leaks:
        raise ReportError(f"{path} is empty", "folds, what and shared of every pair", action)
    return leaks


def shared(leaks: Sequence[Leak]) -> list[str]:
    """One phrase a pair of folds that share something: `train and test share 12 patients and 30 images`."""
    pairs: dict[str, list[str]] = {}
    for leak in leaks:
        if leak.shared:
            pairs.setdefault(leak.folds, []).append(_count(leak))
    return [f"{' and '.join(pair.split('-'))} share {_listed(counts)}" for pair, counts in pairs.items()]


def _count(leak: Leak) -> str:
    words = leak.what.replace("_", " ")
    return f"{leak.shared:,} {words.removesuffix('s') if leak.shared == 1 else words}"


def _listed(counts: Sequence[str]) -> str:
    *first, last = counts
    return f"{', '.join(first)} and {last}" if first else last
