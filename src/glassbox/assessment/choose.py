"""The choose stage: the trained cells of a grid in, its best ones as data, its table and its heat map out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from glassbox.artifacts import cells
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.assessment import heat_map
from glassbox.files import atomic, sha256_file, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from glassbox.params.grids import Grid, Row


def choose(settings: Grid, rows: dict[str, Row], grid: str) -> None:
    """Writes the best cells of a grid as data, and its table and heat map to `metrics/grids/`.

    Args:
        settings: The grid.
        rows: Its rows, by their keys; whatever else lies beside them is not read.
        grid: The grid's key.

    Raises:
        ArtifactError: A row is missing, damaged, or holds other cells than it was to train.
    """
    trained = sorted((cell for name, row in rows.items() for cell in _of(grid, name, row)), key=_place)
    chosen = ranked(trained)[: settings.choices]
    with atomic(cells.heat_map_path(grid).parent) as folder:
        folder.mkdir()
        _write_table(trained, chosen, folder / "grid.csv")
        heat_map.draw(trained, chosen, folder / "heat_map.png")
        drawn = sha256_file(folder / "heat_map.png")
    cells.write(cells.choice_path(grid), chosen, f"choose@{grid}", heat_map_sha256=drawn)


def _of(grid: str, name: str, row: Row) -> list[Cell]:
    path, stage = cells.row_path(grid, name), f"grid@{name}"
    found = cells.read(path, stage)
    wanted = [(row.images, all_but_last) for all_but_last in row.all_but_last]
    if [_place(cell) for cell in found] != wanted:
        raise ArtifactError(path, "holds other cells than its row in params.yaml", stage)
    return found


def _write_table(trained: Sequence[Cell], chosen: Sequence[Cell], path: Path) -> None:
    """The fields of every cell, `relative`, and the rank of those that were chosen, for people and plots."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*Cell.model_fields, "relative", "choice"])
    for cell in trained:
        rank = chosen.index(cell) + 1 if cell in chosen else ""
        writer.writerow([*cell.model_dump().values(), cell.relative, rank])
    write_text(path, text.getvalue())


def ranked(trained: Iterable[Cell]) -> list[Cell]:
    """Cells by how far they are above the majority classifier; of equals the fewer images, then layers, first."""
    return sorted(trained, key=lambda cell: (-cell.relative, *_place(cell)))


def _place(cell: Cell) -> tuple[int, int]:
    return cell.images, cell.all_but_last
