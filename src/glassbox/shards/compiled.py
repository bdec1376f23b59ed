"""Whether this machine has the compiled loops; without them the same pixels are made more slowly."""

from __future__ import annotations

import importlib
import pickle
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType


class Compiled(NamedTuple):
    """The module of compiled loops, or None and why it cannot be had."""

    kernels: ModuleType | None
    reason: str = ""


@cache
def load() -> Compiled:
    """Compiles the loops, which takes six seconds of a core, or finds them in Numba's cache."""
    try:
        return Compiled(importlib.import_module("glassbox.shards.kernels"))
    # No Numba, no LLVM, no folder to keep the result in; or a result of which a power failure left a part.
    except (ImportError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return Compiled(None, f"{type(error).__name__}: {error}")
