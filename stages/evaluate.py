"""Score the predictions of one experiment, draw its figures, and complete its MLflow run."""

from glassbox.assessment.evaluate import evaluate
from glassbox.doors import enter
from glassbox.params import Params
from glassbox.tracking.mirror import log_evaluation


def work(params: Params, experiment: str) -> None:
    """Evaluates, then logs what was measured."""
    evaluate(params, experiment)
    log_evaluation(params, experiment)


if __name__ == "__main__":
    enter("evaluate", work, "experiments")
