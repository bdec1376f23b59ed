"""What grids are trained on and drawn with; see `tests/support/`."""

from small_evaluation import figures
from small_training import compact_weights, data, easy, make, project

__all__ = ["compact_weights", "data", "easy", "figures", "make", "project"]
