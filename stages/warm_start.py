"""Build the initial model of one experiment and train its warm start."""

from glassbox.doors import enter
from glassbox.learning.warm_start import warm_start

if __name__ == "__main__":
    enter("warm_start", warm_start)
