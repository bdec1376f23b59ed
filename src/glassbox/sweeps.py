"""A seeded random search: draws of an experiment's parameters, queued as experiments of DVC."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import yaml

from glassbox.errors import GlassboxError
from glassbox.params.document import checked
from glassbox.params.read import ParamsError, values

if TYPE_CHECKING:
    from pathlib import Path

_RANGE = re.compile(r"(?P<low>[^.,]*\.?[^.,]*)\.\.(?P<high>[^,]+)")


class Draw(NamedTuple):
    """What one parameter is drawn from.

    Attributes:
        key: Its place below the experiment, such as `fine_tune.optimizer.learning_rate`.
        choices: Values of which each is equally likely; none for a range.
        low: Lower end of a range whose logarithm is drawn evenly.
        high: Its upper end.
    """

    key: str
    choices: tuple[str, ...]
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, text: str) -> Self:
        """Reads `KEY=LOW..HIGH` or `KEY=VALUE,VALUE,...`.

        Raises:
            ParamsError: It is neither.
        """
        key, _, values = text.partition("=")
        if found := _RANGE.fullmatch(values):
            try:
                low, high = float(found["low"]), float(found["high"])
            except ValueError:
                low = high = math.nan
            if 0 < low < high < math.inf:
                return cls(key, (), low, high)
        elif key and all(choices := tuple(values.split(","))):
            return cls(key, choices)
        raise ParamsError(
            f"cannot draw from {text!r}",
            "KEY=LOW..HIGH, numbers of which the first is the smaller one above zero, or KEY=VALUE,VALUE,...",
            "for instance fine_tune.optimizer.learning_rate=1e-4..1e-2 training.batch_size=16,32,64",
        )

    def value(self, generator: np.random.Generator) -> str:
        """One draw, a number with three digits that count."""
        if self.choices:
            return self.choices[int(generator.integers(len(self.choices)))]
        return f"{math.exp(generator.uniform(math.log(self.low), math.log(self.high))):.3g}"


def trials(experiment: str, draws: list[Draw], count: int, seed: int) -> list[dict[str, str]]:
    """Draws all parameters `count` times: place in params.yaml -> value. The same seed draws the same ones."""
    generator = np.random.default_rng(seed)
    return [
        {f"experiments.{experiment}.{draw.key}": draw.value(generator) for draw in draws} for _ in range(count)
    ]


def queue(params: Path, experiment: str, draws: list[Draw], *, count: int, seed: int) -> list[dict[str, str]]:
    """Queues the trials of an experiment with DVC, each up to its evaluation.

    Args:
        params: The project's params.yaml.
        experiment: Key of one of its experiments.
        draws: What is drawn.
        count: Number of trials.
        seed: Seed of the draws.

    Returns:
        The trials.

    Raises:
        ParamsError: A trial would not be valid; nothing is queued.
        GlassboxError: DVC queued not all of them, and has said why.
    """
    drawn = trials(experiment, draws, count, seed)
    for trial in drawn:
        _refuse_invalid(params, trial)
    for number, trial in enumerate(drawn):
        settings = [word for place, value in trial.items() for word in ("-S", f"{place}={value}")]
        name = f"{experiment.replace('_', '-')}-{seed}-{number}"
        command = ["exp", "run", "--queue", "-n", name, *settings, f"evaluate@{experiment}"]
        if (status := subprocess.run([sys.executable, "-m", "dvc", *command], check=False).returncode) != 0:
            raise GlassboxError(
                f"`dvc {' '.join(command)}` ended with status {status}; {number} of {count} trials are queued",
                "a committed project in which DVC can queue experiments",
                "see what DVC says above; `dvc queue status` lists what is queued",
            )
    return drawn


def _refuse_invalid(path: Path, trial: dict[str, str]) -> None:
    document = values(path)
    for place, value in trial.items():
        *above, last = place.split(".")
        block = document
        for key in above:
            block = block.get(key) if isinstance(block, dict) else None
        if not isinstance(block, dict) or last not in block:
            raise ParamsError(
                f"{path} has no {place}", "a parameter of the experiment", "correct the KEY, or the experiment"
            )
        block[last] = yaml.safe_load(value)
    checked(document, f"trial {' '.join(f'{place}={value}' for place, value in trial.items())}")
