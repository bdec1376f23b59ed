"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from glassbox import params

if TYPE_CHECKING:
    from collections.abc import Callable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The DAG's tests take longest and build on one project: they start first, beside all others."""
    items.sort(key=lambda item: "tests/stages/" not in item.nodeid)


def _parameters(sources: dict[str, Any] | None = None, **experiments: dict[str, Any]) -> params.Params:
    """Parameters of one split of generated films, with these experiments."""
    return params.parse(
        {
            "profile": "test",
            "sources": sources
            or {"films": {"kind": "phantom", "layout": "nih", "seed": 1, "patients": 50, "size": 64}},
            "datasets": {"films-64": {"source": "films", "size": 64}},
            "splits": {
                "infiltration": {
                    "source": "films",
                    "dataset": "films-64",
                    "labels": {"positive": "Infiltration"},
                    "official_test": True,
                    "validation": 0.1,
                    "balance": "none",
                    "seed": 3,
                }
            },
            "weights": {"none": {"kind": "none"}},
            "experiments": experiments,
        },
        "params.yaml",
    )


@pytest.fixture
def parameters() -> Callable[..., params.Params]:
    """`parameters(name=experiment, ...)`: what rooms that only read parameters are tested with."""
    return _parameters
