"""The cells of a grid: all that were trained, and those that were chosen among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import NonNegativeInt, PositiveInt

from glassbox.artifacts import document
from glassbox.artifacts.damage import bytes_of
from glassbox.params.base import Frozen, Share
from glassbox.paths import DATA, METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DECIMALS = 6


class Cell(Frozen):
    """One short training of a grid, judged on the validation fold."""

    #: Images of the training fold that were trained on.
    images: PositiveInt
    #: Layers of the backbone that were trained, of those that have parameters.
    all_but_last: NonNegativeInt
    val_accuracy: Share
    #: The accuracy of the best answer that is the same for every image.
    majority_accuracy: Share

    @property
    def relative(self) -> float:
        """Accuracy less that of the majority classifier."""
        return round(self.val_accuracy - self.majority_accuracy, _DECIMALS)


def grid_path(grid: str) -> Path:
    """Where all cells of a grid lie."""
    return DATA / "grids" / f"{grid}.json"


def choice_path(grid: str) -> Path:
    """Where the chosen cells of a grid lie."""
    return DATA / "choices" / f"{grid}.json"


def write(path: Path, cells: Sequence[Cell], stage: str, **facts: str) -> None:
    """Writes cells in the order given, and facts beside them, for a stage."""
    document.write(path, {"cells": [cell.model_dump() for cell in cells], **facts}, stage)


def read(path: Path, stage: str) -> list[Cell]:
    """The cells of a file that a stage made, in its order."""
    return document.read_typed(path, stage, list[Cell], "cells")


def heat_map_path(grid: str) -> Path:
    """Where the heat map of a grid lies, in git."""
    return METRICS / "grids" / grid / "heat_map.png"


def heat_map(grid: str) -> bytes:
    """The PNG file that was drawn when the cells of a grid were chosen."""
    stage = f"choose@{grid}"
    return bytes_of(heat_map_path(grid), document.read(choice_path(grid), stage).get("heat_map_sha256"), stage)
