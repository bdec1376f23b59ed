"""Choose the best cells of one grid, and draw its heat map."""

from glassbox.assessment.choose import choose
from glassbox.doors import enter
from glassbox.params.grids import Grid, Row
from glassbox.params.read import block, blocks


def work(grid: str) -> None:
    """Chooses among the cells of all its rows."""
    rows = {name: row for name, row in blocks("rows", Row).items() if row.grid == grid}
    choose(block("grids", grid, Grid), rows, grid)


if __name__ == "__main__":
    enter("choose", work)
