"""The kind of machine a model was trained on: on one kind a recipe gives the same bytes each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassbox.artifacts import document
from glassbox.paths import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def path(experiment: str) -> Path:
    """Where the kind of machine of an experiment's model lies, in git."""
    return METRICS / experiment / "machine.json"


def write(experiment: str, machine: Mapping[str, Any]) -> None:
    """Writes the kind of machine, one entry a fact, in the form that DVC takes for a plot."""
    rows = [{"what": what, "value": value} for what, value in machine.items()]
    document.write(path(experiment), {"machine": rows}, f"evaluate@{experiment}")


def read(experiment: str) -> dict[str, Any]:
    """The kind of machine of an experiment's model.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    return parse(document.read(path(experiment), f"evaluate@{experiment}"))


def parse(content: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of machine from the content of such a file."""
    return {row["what"]: row["value"] for row in content.get("machine", ())}
