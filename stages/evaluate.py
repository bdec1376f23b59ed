"""Score the predictions of one experiment, draw its figures, and complete its MLflow run."""

from glassbox.assessment.evaluate import evaluate
from glassbox.doors import enter
from glassbox.tracking.mirror import log_evaluation


def work(experiment: str) -> None:
    """Evaluates, then logs what was measured."""
    evaluate(experiment)
    log_evaluation(experiment)


if __name__ == "__main__":
    enter("evaluate", work)
