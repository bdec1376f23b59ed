"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The DAG's tests take longest and build on one project: they start first, beside all others."""
    items.sort(key=lambda item: "tests/stages/" not in item.nodeid)
