"""Sets all experiments side by side, in a table and on a page."""

from glassbox.doors import enter
from glassbox.report.comparison import compare

if __name__ == "__main__":
    enter("compare", compare)
