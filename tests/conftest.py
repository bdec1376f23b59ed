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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The DAG's tests take longest and build on one project: they start first, beside all others."""
    items.sort(key=lambda item: "tests/stages/" not in item.nodeid)
