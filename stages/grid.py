"""Train the cells of one row of a grid, which share a process."""

from glassbox.doors import enter
from glassbox.learning.grid import train

if __name__ == "__main__":
    enter("grid", train, "rows")
