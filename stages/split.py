"""Select, label, split and balance the images of one split, patient-aware."""

from glassbox.doors import enter
from glassbox.params.read import block
from glassbox.params.splits import Split
from glassbox.selection.split import build


def work(name: str) -> None:
    """Builds the folds."""
    build(block("splits", name, Split), name)


if __name__ == "__main__":
    enter("split", work)
