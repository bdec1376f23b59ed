"""What is evaluated here; see `tests/support/small_evaluation.py`."""

from small_evaluation import evaluated, evaluated_once, figures, make, project

__all__ = ["evaluated", "evaluated_once", "figures", "make", "project"]
