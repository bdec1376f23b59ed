"""MLflow shows the models side by side: one run a model, found by its fingerprint, restored when lost."""

from glassbox.tracking.mirror import log_evaluation, mirror
from glassbox.tracking.run import Run, training_run

__all__ = ["Run", "log_evaluation", "mirror", "training_run"]
