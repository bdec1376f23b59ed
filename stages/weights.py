"""Make the initial weights of a backbone: hashed and versioned like every other data."""

from glassbox.doors import enter
from glassbox.learning.acquire import make

if __name__ == "__main__":
    enter("weights", make, "weights")
