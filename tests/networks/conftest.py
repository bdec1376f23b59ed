"""What networks are trained on here; see `tests/support/small_training.py`."""

from small_training import compact_weights, data, easy, make, project

__all__ = ["compact_weights", "data", "easy", "make", "project"]
