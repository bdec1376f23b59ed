"""Choose the best cells of one grid, and draw its heat map."""

from glassbox.assessment.choose import choose
from glassbox.doors import enter

if __name__ == "__main__":
    enter("choose", choose, "grids")
