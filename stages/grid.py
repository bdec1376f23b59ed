"""Train the cells of one grid, on the workers of a cluster."""

from glassbox.grids.train import train
from glassbox.params.grids import Grid
from glassbox.params.read import block
from glassbox.recipes import mounted, phase
from glassbox.stage import enter


def work(name: str) -> None:
    """Trains them as the grid's experiment says, which may itself follow this grid's choice."""
    grid: Grid = block("grids", name, Grid)
    train(phase(mounted(grid.experiment), "fine_tune"), grid, name)


if __name__ == "__main__":
    enter("grid", work)
