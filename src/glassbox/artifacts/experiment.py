"""An experiment as a whole and as it runs, with the data it is made from: what pages and runs show of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glassbox.artifacts.recipe import read
from glassbox.params.base import Frozen, Key
from glassbox.params.datasets import Dataset
from glassbox.params.experiments import Experiment
from glassbox.params.sources import AnySource
from glassbox.params.splits import Split
from glassbox.params.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Its file among those of the recipe.
CONSUMER = "experiment"


class Resolved(Frozen):
    """One experiment with everything that its names stand for.

    In `settings` images and frozen layers are those that a grid chose, where one does, and below random weights
    nothing is frozen, which the departures say.
    """

    key: Key
    settings: Experiment
    split: Split
    dataset: Dataset
    source: AnySource
    weights: Weights


def resolved(experiment: str) -> Resolved:
    """What the recipe stage made of an experiment."""
    return read(experiment, CONSUMER, Resolved)


def flat(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters by their names in params.yaml, levels joined by dots, each as it is written there."""
    texts: dict[str, str] = {}
    for key, value in parameters.items():
        if isinstance(value, dict) and value:
            texts |= {f"{key}.{name}": text for name, text in flat(value).items()}
        else:
            texts[key] = value if isinstance(value, str) else json.dumps(value)
    return texts
