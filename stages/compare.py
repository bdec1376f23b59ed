"""Sets all experiments side by side, in a table and on a page."""

from glassbox.params.document import load
from glassbox.report.comparison import compare
from glassbox.stage import enter


def work() -> None:
    """Compares them."""
    compare(load())


if __name__ == "__main__":
    enter("compare", work, keyed=False)
