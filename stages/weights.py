"""Make the initial weights of a backbone: hashed and versioned like every other data."""

from glassbox.doors import enter
from glassbox.learning.acquire import make
from glassbox.params.read import block
from glassbox.params.weights import Weights


def work(name: str) -> None:
    """Fetches, checks or trains them."""
    make(block("weights", name, Weights), name)


if __name__ == "__main__":
    enter("weights", work)
