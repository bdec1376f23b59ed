"""How long a host is waited for: attempts go on while they bring something, and end when they do not."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from glassbox.sources.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Interruption(Exception):  # noqa: N818 - it ends an attempt, not the work
    """An attempt came to nothing for now and may be made again.

    Args:
        what: What happened, as a clause. It never holds an address: those of a storage host are signed.
        asked: Seconds that the host asked to wait.
    """

    def __init__(self, what: str, asked: float | None = None) -> None:
        super().__init__(what)
        self.what, self.asked = what, asked


class GaveUpError(ArchiveError):
    """A host brought nothing for too long, or asks to wait for longer than a run should."""


@dataclass(frozen=True)
class Patience:
    """All times in seconds.

    Attributes:
        connect: How long a connection may take to stand.
        silence: How long a host may send nothing; a stalled one counts as cut.
        attempts: How many in a row may bring nothing.
        first_wait: After the first of these; it doubles with each, up to `longest_wait`.
        longest_wait: See `first_wait`.
        longest_asked: The longest wait that a host may ask for.
        sleep: What waits.
    """

    connect: float = 20.0
    silence: float = 60.0
    attempts: int = 10
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 900.0
    sleep: Callable[[float], None] = time.sleep


#: For a transfer of hours over an ordinary line.
PATIENCE = Patience()


def patiently(
    attempt: Callable[[], T], what: str, patience: Patience, progress: Callable[[], int] = lambda: 0
) -> T:
    """Makes an attempt again and again until it ends without an `Interruption`.

    Args:
        attempt: What to do.
        what: What it is about, for the messages.
        patience: When to wait, and when to give up.
        progress: How many bytes there are so far. An attempt that leaves more than ever starts the count of vain
            ones anew; a host that makes every attempt start over is not waited for forever.

    Raises:
        GaveUpError: Too many attempts in a row brought nothing, or the host asks to wait too long.
    """
    best, vain = progress(), 0
    while True:
        try:
            return attempt()
        except Interruption as caught:
            interruption = caught
        reached = progress()
        vain = 0 if reached > best else vain + 1
        best = max(best, reached)
        later = "run `dvc repro` again later" + (
            f"; it goes on after the {reached:,} bytes that are there" if reached else ""
        )
        if vain >= patience.attempts:
            raise GaveUpError(
                f"{what}: {interruption.what}, and {vain} attempts in a row brought nothing",
                "a host that answers",
                later,
            )
        wait = min(patience.first_wait * 2 ** max(vain - 1, 0), patience.longest_wait)
        if interruption.asked is not None:
            wait = max(wait, interruption.asked)
            if wait > patience.longest_asked:
                raise GaveUpError(
                    f"{what}: {interruption.what} and asks to wait {wait:,.0f} seconds",
                    f"at most {patience.longest_asked:,.0f}",
                    later,
                )
        asked = ", as it asks" if interruption.asked else ""
        print(f"{what}: {interruption.what}; trying again in {wait:,.0f} s{asked}", file=sys.stderr, flush=True)
        patience.sleep(wait)
