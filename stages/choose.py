"""Choose the best cells of one grid, and plot its heat map."""

from glassbox.grids.choose import choose
from glassbox.params.grids import Grid
from glassbox.params.read import block
from glassbox.stage import enter


def work(name: str) -> None:
    """Chooses among all its cells."""
    choose(block("grids", name, Grid), name)


if __name__ == "__main__":
    enter("choose", work)
