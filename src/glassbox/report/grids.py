"""What the page says of grids: their heat maps, and what was chosen, as the experiments ran with it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.errors import ReportError
from glassbox.params import NO_CHOICE
from glassbox.report.results import png

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params import Params


def heat_maps(params: Params) -> dict[str, bytes]:
    """Grid -> the PNG file that `choose` drew.

    Raises:
        ReportError: One is missing, or is no PNG file.
    """
    return {grid: png(layout.METRICS / "grids" / grid / "heat_map.png") for grid in params.grids}


def chosen(params: Params) -> Params:
    """The parameters as they ran: every experiment that takes a grid's choice with the images and layers of it.

    Raises:
        ReportError: The table of the grid is missing, or has no such choice.
    """
    for key, experiment in params.experiments.items():
        choice = experiment.choice
        if choice.file != NO_CHOICE:
            path = layout.METRICS / "grids" / choice.file.stem / "grid.csv"
            images, all_but_last = _cell(path, choice.rank)
            params = params.with_cell(key, images, all_but_last)
    return params


def _cell(path: Path, rank: int) -> tuple[int, int]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = {row["choice"]: row for row in csv.DictReader(stream)}
        cell = rows[str(rank)]
        return int(cell["images"]), int(cell["all_but_last"])
    except (OSError, KeyError, ValueError):
        raise ReportError(
            f"{path} has no choice {rank}", "the table of a grid with its choices", "run `dvc repro`"
        ) from None
