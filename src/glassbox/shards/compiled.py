"""Whether this machine has the compiled loops; without them the same pixels are made more slowly."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import filelock

from glassbox.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


class Compiled(NamedTuple):
    """The module of compiled loops, or None and why it cannot be had."""

    kernels: ModuleType | None
    reason: str = ""


@cache
def load() -> Compiled:
    """Compiles the loops, or finds them in Numba's cache.

    Compiling takes seconds of a core. The first process of a machine does it and the others wait for it, so that a
    hundred workers that start at once compile once; from then on nobody waits.
    """
    try:
        with _first_alone(Path(__file__).with_name("kernels.py")):
            return Compiled(importlib.import_module("glassbox.shards.kernels"))
    # No Numba, no LLVM, no folder to keep the result in; or a result of which a power failure left a part.
    except (ImportError, OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        return Compiled(None, f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def _first_alone(loops: Path) -> Iterator[None]:
    """Holds a lock until a process of this machine has compiled this version of the loops."""
    try:
        key = f"{platform.node()}-{platform.python_version()}-{version('numba')}-{sha256_file(loops)[:16]}"
        mark = loops.parent / "__pycache__" / f"{loops.stem}-{key}"
        mark.parent.mkdir(exist_ok=True)
        done = mark.with_name(f"{mark.name}.done")
        lock = filelock.FileLock(mark.with_name(f"{mark.name}.lock"))
        if not done.exists():
            lock.acquire()
        if done.exists():  # perhaps since a moment ago: those who waited all go on together
            lock.release()
    except (PackageNotFoundError, OSError):  # nothing to compile with, or Numba keeps its cache elsewhere
        yield
        return
    try:
        yield
        if lock.is_locked:
            done.touch()
    finally:
        lock.release()
