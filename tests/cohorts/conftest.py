"""Small archives; see `tests/support/small_archives.py`."""

from small_archives import entries, project

__all__ = ["entries", "project"]
