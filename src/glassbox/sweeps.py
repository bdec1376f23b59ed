"""A seeded random search: draws of an experiment's parameters, queued as experiments of DVC."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import suppress
from functools import reduce
from operator import getitem
from typing import NamedTuple, Self

import numpy as np
import yaml

from glassbox.errors import GlassboxError
from glassbox.params.document import checked
from glassbox.params.read import ParamsError, values
from glassbox.paths import PARAMS


class Draw(NamedTuple):
    """What one parameter is drawn from."""

    key: str  #: Its place below the experiment, such as `fine_tune.optimizer.learning_rate`.
    choices: list[str]  #: Values of which each is equally likely; none for a range.
    ends: tuple[float, float] = (math.nan, math.nan)  #: Ends of a range whose logarithm is drawn evenly.

    @classmethod
    def of(cls, text: str) -> Self:
        """Reads `KEY=LOW..HIGH` or `KEY=VALUE,VALUE,...`.

        Raises:
            ParamsError: It is neither.
        """
        key, _, said = text.partition("=")
        low, is_range, high = said.partition("..")
        with suppress(ValueError):
            if key and is_range and 0 < float(low) < float(high) < math.inf:
                return cls(key, [], (float(low), float(high)))
        if key and not is_range and all(choices := said.split(",")):
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
        low, high = map(math.log, self.ends)
        return f"{math.exp(generator.uniform(low, high)):.3g}"


def trials(experiment: str, draws: list[Draw], count: int, seed: int) -> list[dict[str, str]]:
    """Draws all parameters `count` times: place in params.yaml -> value. The same seed draws the same ones."""
    generator = np.random.default_rng(seed)
    return [
        {f"experiments.{experiment}.{draw.key}": draw.value(generator) for draw in draws} for _ in range(count)
    ]


def queue(experiment: str, draws: list[Draw], *, count: int, seed: int) -> list[dict[str, str]]:
    """Queues so many trials of an experiment with DVC, each up to its evaluation; these trials.

    Raises:
        ParamsError: A trial would not be valid; nothing is queued.
        GlassboxError: DVC queued not all of them, and has said why.
    """
    drawn = trials(experiment, draws, count, seed)
    for trial in drawn:
        _refuse_invalid(trial)
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


def _refuse_invalid(trial: dict[str, str]) -> None:
    document = values()
    for place, value in trial.items():
        *above, last = place.split(".")
        try:
            block = reduce(getitem, above, document)
            getitem(block, last)  # nothing new
            block[last] = yaml.safe_load(value)
        except (KeyError, TypeError):
            raise ParamsError(
                f"{PARAMS} has no {place}", "a parameter of the experiment", "correct the KEY, or the experiment"
            ) from None
    checked(document, f"trial {' '.join(f'{place}={value}' for place, value in trial.items())}")
