"""Make the initial weights of a backbone: hashed and versioned like every other data."""

from glassbox.networks.weights import make
from glassbox.params.read import block
from glassbox.params.weights import Weights
from glassbox.stage import enter


def work(name: str) -> None:
    """Fetches, checks or trains them."""
    make(block("weights", name, Weights), name)


if __name__ == "__main__":
    enter("weights", work)
