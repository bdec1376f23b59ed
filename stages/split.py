"""Select, label, split and balance the images of one split, patient-aware."""

from glassbox.params.read import block
from glassbox.params.splits import Split
from glassbox.splits.build import build
from glassbox.stage import enter


def work(name: str) -> None:
    """Builds the folds."""
    build(block("splits", name, Split), name)


if __name__ == "__main__":
    enter("split", work)
