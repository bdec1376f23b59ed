"""Fine-tune the warm-started model of one experiment, its curves in MLflow while it trains."""

from glassbox import backend
from glassbox.artifacts import recipe
from glassbox.stage import enter
from glassbox.tracking.run import Run


def work(experiment: str) -> None:
    """Trains it as `fine_tune` says, within an MLflow run."""
    backend.start()
    from glassbox.training import lineage
    from glassbox.training.train import train

    settings = recipe.phase(experiment, "fine_tune")
    origin = lineage.origin(settings, "fine_tune")
    with Run(origin) as run:
        train(settings, "fine_tune", origin, run.log_epoch)
        run.complete()


if __name__ == "__main__":
    enter("fine_tune", work)
