"""What a check found, and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.errors import GlassboxError

#: A problem stops `dvc repro`; a warning makes it slower, larger, or hard to compare.
Status = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One line of the table.

    Attributes:
        name: What was looked at.
        status: See `Status`.
        found: What was found, as a clause.
        action: What the user can do next, as an imperative; empty where nothing is to be done.
    """

    name: str
    status: Status
    found: str
    action: str = ""


def refused(name: str, error: GlassboxError) -> Finding:
    """The problem that an error describes."""
    return Finding(name, "problem", error.found, error.action)


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
