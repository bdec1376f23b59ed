"""Train the cells of one row of a grid, which share a process."""

from glassbox.doors import enter
from glassbox.learning.grid import train
from glassbox.params.grids import Grid, Row
from glassbox.params.read import block
from glassbox.recipes import mounted, phase


def work(name: str) -> None:
    """Trains them as the grid's experiment says, which may itself follow this grid's choice."""
    row = block("rows", name, Row)
    train(phase(mounted(row.experiment), "fine_tune"), block("grids", row.grid, Grid), row, name)


if __name__ == "__main__":
    enter("grid", work)
