"""What all tests share."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# The hundred processes of the suite would each compile what they import, where bytecode is not to be written.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

#: Folders in the order in which a worker takes their modules: those that take longest, so that no worker is left
#: with one of them at the end. The DAG's tests keep one worker for half of the time; the other meanwhile goes
#: through all that share what lineage builds.
_FIRST = ("stages", "lineage", "grids", "training", "networks", "real", "tracking")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes longest first; else the order stays."""
    order = {folder: at for at, folder in enumerate(_FIRST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))
