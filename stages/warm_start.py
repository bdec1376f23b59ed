"""Build the initial model of one experiment and train its warm start."""

from glassbox import backend
from glassbox.artifacts import recipe
from glassbox.stage import enter


def work(experiment: str) -> None:
    """Trains it as `warm_start` says."""
    backend.start()
    from glassbox.training import lineage
    from glassbox.training.train import train

    settings = recipe.phase(experiment, "warm_start")
    train(settings, "warm_start", lineage.origin(settings, "warm_start"))


if __name__ == "__main__":
    enter("warm_start", work)
