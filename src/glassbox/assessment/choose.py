"""The choose stage: the trained cells of a grid in, its best ones as data, its table and its heat map out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.assessment import heat_map
from glassbox.files import atomic, write_json
from glassbox.learning import cells

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glassbox.learning.cells import Cell
    from glassbox.params import Params


def choose(params: Params, grid: str) -> None:
    """Writes the best cells of a grid to `layout.choices(grid)`, and its table and heat map to `metrics/grids/`.

    Only the rows that the parameters name are read, whatever else lies beside them.
    """
    rows = [layout.row(grid, name) for name, row in params.rows.items() if row.grid == grid]
    trained = sorted((cell for path in rows for cell in cells.read(path)), key=_place)
    chosen = ranked(trained)[: params.grids[grid].choices]
    with atomic(layout.METRICS / "grids" / grid) as folder:
        folder.mkdir()
        cells.write(trained, folder / "grid.csv", chosen)
        heat_map.draw(trained, chosen, folder / "heat_map.png")
    write_json(layout.choices(grid), [cell.model_dump() for cell in chosen])


def ranked(trained: Iterable[Cell]) -> list[Cell]:
    """Cells by how far they are above the majority classifier; of equals the fewer images, then layers, first."""
    return sorted(trained, key=lambda cell: (-cell.relative, *_place(cell)))


def _place(cell: Cell) -> tuple[int, int]:
    return cell.images, cell.all_but_last
