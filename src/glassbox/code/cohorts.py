"""Which modules of `glassbox.cohorts` are cohorts: they are loaded by name, so no import leads to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: What every cohort defines: its words, and the reader of its tables.
_PARTS = tuple(re.compile(part, re.MULTILINE) for part in (r"^VOCABULARY\b.*=", r"^(def tables\(|tables\b.*=)"))


def names(folder: Path) -> list[str]:
    """The cohorts in a folder of modules: those that define both `VOCABULARY` and `tables`, sorted.

    The files are only looked at, since to import one takes pandas.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    return sorted(name for name, text in texts.items() if all(part.search(text) for part in _PARTS))
