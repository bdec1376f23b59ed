"""Fine-tune the warm-started model of one experiment, its curves in MLflow while it trains."""

from glassbox.doors import enter
from glassbox.learning.choice import applied
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.record import record
from glassbox.params import Params
from glassbox.tracking.run import training_run


def work(params: Params, experiment: str) -> None:
    """Trains within an MLflow run, with what a grid chose, where the experiment names a choice."""
    params = applied(params, experiment)
    lineage = record(params, experiment)
    with training_run(params, experiment, lineage) as run:
        fine_tune(params, experiment, lineage, run.log_epoch)
        run.log_model()


if __name__ == "__main__":
    enter("fine_tune", work, "experiments")
