"""Score the predictions of one experiment, draw its figures, and complete its MLflow run."""

from glassbox.evaluation.evaluate import evaluate
from glassbox.stage import enter
from glassbox.tracking.run import complete


def work(experiment: str) -> None:
    """Evaluates, then logs what was measured."""
    evaluate(experiment)
    complete(experiment, evaluated=True)


if __name__ == "__main__":
    enter("evaluate", work)
