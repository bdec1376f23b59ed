"""What a check found, and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


#: A problem stops `dvc repro`; a warning makes it slower, larger, or hard to compare.
Status = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One line of the table: what was looked at, what was found, and what the user can do next, if anything."""

    name: str
    status: Status
    found: str
    action: str = ""


class Problem(GlassboxError):  # noqa: N818 - it is what a check finds
    """`dvc repro` would stop; errors of other rooms mean the same."""

    def __init__(self, found: str, action: str) -> None:
        super().__init__(found, "", action)


class Caution(Problem):
    """`dvc repro` would go on, but the user can do better."""


def examine(name: str, check: Callable[[], tuple[str, T]]) -> tuple[Finding, T | None]:
    """What a check finds: it returns that as a clause, beside a value, or raises an error that says it."""
    try:
        found, value = check()
    except GlassboxError as error:
        status: Status = "warning" if isinstance(error, Caution) else "problem"
        expected = f"\n  expected: {error.expected}" if error.expected else ""
        return Finding(name, status, error.found + expected, error.action), None
    except ImportError as error:
        return Finding(name, "problem", str(error), "run `uv sync`"), None
    except (OSError, UnicodeError) as error:
        action = "make the file readable and writable, or bring it back: `git checkout`"
        return Finding(name, "problem", str(error), action), None
    return Finding(name, "ok", found), value


def finding(name: str, check: Callable[[], str]) -> Finding:
    """What a check without a value finds."""
    return examine(name, lambda: (check(), None))[0]


def line(finding: Finding) -> str:
    """A finding as text: status, name, what was found; beneath it what to do next."""
    indent = " " * 36
    text = f"{finding.status:8} {finding.name:26} " + finding.found.replace("\n  ", "\n" + indent)
    return f"{text}\n{indent}next: {finding.action}" if finding.action else text


def size(count: int) -> str:
    """A number of bytes for people: MB below one GB."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there: where it would come to lie."""
    path = path.absolute()
    return path if path.exists() else existing(path.parent)
