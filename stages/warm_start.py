"""Build the initial model of one experiment and train its warm start."""

from glassbox.doors import enter
from glassbox.learning.choice import applied
from glassbox.learning.warm_start import warm_start
from glassbox.params import Params


def work(params: Params, experiment: str) -> None:
    """Trains with what a grid chose, where the experiment names a choice."""
    warm_start(applied(params, experiment), experiment)


if __name__ == "__main__":
    enter("warm_start", work, "experiments")
