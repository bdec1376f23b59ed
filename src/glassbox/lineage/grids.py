"""The grid whose choice a recipe follows: its cells, the choice among them, and what the cells were trained on.

All functions read the artifacts of the current folder, a `view`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.artifacts import cells, damage
from glassbox.lineage import contents
from glassbox.lineage.link import Checks
from glassbox.params.experiments import NO_CHOICE
from glassbox.params.grids import Grid
from glassbox.params.read import block
from glassbox.recipes import mounted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glassbox.artifacts.experiment import Resolved
    from glassbox.lineage.link import Link


def links(whole: Resolved, sha256: Mapping[str, Mapping[str, tuple[str, ...]]]) -> list[Link]:
    """Whether a choice follows from its grid's cells, and these from the grid; nothing where none is followed.

    Of a cell there are its accuracies alone: its model is thrown away. Where the cells were trained on another
    split than the experiment, or from other weights, these are verified, too.

    Args:
        whole: The experiment.
        sha256: As `contents.data_links` takes it.
    """
    if whole.settings.choice.file == NO_CHOICE:
        return []
    name = whole.settings.choice.file.stem
    checks, said = Checks(f"grid {name}", f"run `dvc repro choose@{name}`"), ""
    other: Resolved | None = None
    with checks.refusals():
        grid: Grid = block("grids", name, Grid)
        other = mounted(grid.experiment)
        _compare(checks, name, grid)
        said = f"{len(grid.cells)} cells of split {grid.split}, weights {grid.weights}; the best chosen again"
    found = checks.links(said)
    if other is not None and other.settings.split != whole.settings.split:
        found += contents.data_links(other, sha256)[0]
    if other is not None and other.settings.weights != whole.settings.weights:
        found += contents.weight_links(other)
    return found


def _compare(checks: Checks, name: str, grid: Grid) -> None:
    # It draws a figure: what that takes to import is for those alone who have a grid.
    from glassbox.grids import choose

    trained = cells.read(cells.grid_path(name), f"grid@{name}")
    chosen = cells.read(cells.choice_path(name), f"choose@{name}")
    places = [(cell.images, cell.all_but_last) for cell in trained]
    checks.same(f"{cells.grid_path(name)}, images and layers", places, grid.cells)
    checks.same(f"{cells.choice_path(name)}, cells", chosen, choose.ranked(trained)[: grid.choices])
    table = choose.table_path(name)
    found = damage.content(table, f"choose@{name}").decode(errors="replace")
    checks.same(table.as_posix(), found, choose.table(trained, chosen))
    cells.heat_map(name)
