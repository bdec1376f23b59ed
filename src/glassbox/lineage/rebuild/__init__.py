"""A model made again from its revision, and compared with what was recorded."""
