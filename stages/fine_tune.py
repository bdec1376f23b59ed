"""Fine-tune the warm-started model of one experiment, its curves in MLflow while it trains."""

from glassbox.artifacts import recipe
from glassbox.doors import enter
from glassbox.learning import initial, record
from glassbox.learning.fine_tune import fine_tune
from glassbox.tracking.run import training_run


def work(experiment: str) -> None:
    """Trains within an MLflow run."""
    settings = recipe.phase(experiment, "fine_tune")
    initial.prepare(settings)
    made = record.origin(settings, "fine_tune")
    with training_run(made) as run:
        run.log_model(fine_tune(settings, made, run.log_epoch))


if __name__ == "__main__":
    enter("fine_tune", work)
