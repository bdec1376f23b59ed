"""One link of the chain from a model to its data: what was found, what was expected, and the verdict."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Iterator


#: Characters that a message spends on a value.
_LENGTH = 300


class Verdict(StrEnum):
    """What came of looking at a link."""

    #: It was read and hashed again, and is what the next link says.
    VERIFIED = "verified"
    #: It is another one.
    WRONG = "wrong"
    #: No copy of it is at hand.
    MISSING = "missing"
    #: It was removed for patients who were erased, and nothing brings it back.
    ERASED = "erased"
    #: It is in no commit: so far only this folder says so.
    UNCOMMITTED = "uncommitted"


class Link(NamedTuple):
    """One thing that was verified, or was not."""

    #: What it is: a path, a stage, a run, or the two ends of a comparison.
    name: str
    verdict: Verdict
    found: str
    expected: str = ""
    #: What to do next, where it is not verified.
    action: str = ""
    #: Whether the verdict on the model hangs on it.
    needed: bool = True


#: What readers raise over a file that is whole by its own digest and yet nothing that a stage ever wrote.
DAMAGED = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def verified(name: str, found: str) -> Link:
    """A link that holds."""
    return Link(name, Verdict.VERIFIED, found)


def wrong(name: str, found: str, expected: str, action: str) -> Link:
    """A link that does not."""
    return Link(name, Verdict.WRONG, found, expected, action)


class Checks:
    """The links of one thing that is looked at in several ways: what differs, or one line that says it holds.

    Args:
        name: What is looked at.
        action: What to do where it is wrong.
    """

    def __init__(self, name: str, action: str) -> None:
        self._name, self._action = name, action
        self._wrong: list[Link] = []

    def same(self, what: str, found: object, expected: object) -> None:
        """Notes a difference, if there is one."""
        if found != expected:
            pair = (f"{what}: {_short(found)}", f"{what}: {_short(expected)}")
            self._wrong.append(wrong(self._name, *pair, self._action))

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Notes a refusal that the block ends with."""
        try:
            yield
        except GlassboxError as error:
            self._wrong.append(wrong(self._name, error.found, error.expected, error.action))
        except FileNotFoundError as error:
            found = f"{error.filename or error} is not at hand"
            self._wrong.append(wrong(self._name, found, "a copy of it", "see what is missing above"))
        except DAMAGED as error:
            found = f"it cannot be read: {type(error).__name__}: {' '.join(str(error).split())}"
            self._wrong.append(wrong(self._name, found, "what its stage wrote", self._action))

    def links(self, found: str) -> list[Link]:
        """What differs; where nothing does, the one line that says what was found."""
        return self._wrong or [verified(self._name, found)]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
