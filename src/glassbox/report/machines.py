"""On which kinds of machine models were trained, and whether that is another kind than git has."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.report.results import Result


def changed(results: Sequence[Result]) -> str:
    """One sentence if models were trained on another kind of machine than the committed ones; else nothing."""
    others = {}
    for result in results:
        before = _committed(result.key)
        if differing := [name for name in before if before[name] != result.machine.get(name)]:
            others[result.key] = differing
    if not others:
        return ""
    names = ", ".join(dict.fromkeys(name.replace("_", " ") for names in others.values() for name in names))
    return (
        f"{', '.join(others)}: trained on another kind of machine than the committed models ({names}), so that "
        "models and scores may differ from those in git; archive, catalog, shards and splits do not"
    )


def _committed(experiment: str) -> dict[str, Any]:
    """The kind of machine that git's HEAD has for an experiment; nothing where it has none, or there is no git."""
    try:
        found = subprocess.run(
            ["git", "show", f"HEAD:./{machine.path(experiment).as_posix()}"], capture_output=True, check=True
        ).stdout
        return machine.parse(json.loads(found))
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError, TypeError, AttributeError):
        # Any JSON may have been committed by mistake.
        return {}
