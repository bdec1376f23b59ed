"""Sets all experiments side by side, in a table and on a page."""

from glassbox.doors import enter
from glassbox.params.document import load
from glassbox.report.comparison import compare


def work() -> None:
    """Compares them."""
    compare(load())


if __name__ == "__main__":
    enter("compare", work, keyed=False)
