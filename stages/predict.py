"""Run the model of one experiment once over every variant of its test fold."""

from glassbox import backend
from glassbox.stage import enter


def work(experiment: str) -> None:
    """Predicts, and writes one table a variant."""
    backend.start()
    from glassbox.training.predict import predict

    predict(experiment)


if __name__ == "__main__":
    enter("predict", work)
