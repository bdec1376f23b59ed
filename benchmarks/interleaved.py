"""Rounds of several pieces of work, one after the other in each round, and the ratios of what they took."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Ratio(NamedTuple):
    """The median of a ratio over rounds, and an interval that holds the true one in at least 95 of 100 cases."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f}-{self.high:.3f})"


def rounds(
    work: Mapping[str, Callable[[], None]], count: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Runs all pieces of work once unmeasured, then `count` times in turn; the seconds of each round by name.

    Machines are shared: what slows a round down slows all pieces of it, and their ratio stays.

    Args:
        work: The pieces by name.
        count: Rounds to measure.
        clock: `time.process_time` for seconds of this process's cores, `time.perf_counter` where other processes
            do the work.
    """
    for piece in work.values():
        piece()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(count):
        for name, piece in work.items():
            start = clock()
            piece()
            seconds[name].append(clock() - start)
    return seconds


def ratio(over: list[float], under: list[float]) -> Ratio:
    """The ratio of two pieces of work, round by round.

    The interval is that of the sign test: of nine rounds, the second smallest to the second largest ratio hold the
    true median with 96 % confidence, whatever the noise looks like.
    """
    ratios = sorted(a / b for a, b in zip(over, under, strict=True))
    outside = _outside(len(ratios))
    return Ratio(median(ratios), ratios[outside], ratios[-1 - outside])


def _outside(count: int) -> int:
    """How many of `count` values may be left out at each end of a 95 % interval of their median."""
    below, ways, left_out = 0.0, 1, 0
    for at in range(count // 2):
        below += ways / 2**count
        if 2 * below > 0.05:
            break
        left_out = at
        ways = ways * (count - at) // (at + 1)
    return left_out
