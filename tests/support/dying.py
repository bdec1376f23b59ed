"""A process that kills itself before a chosen operation on the files of a folder, as `kill -9` would."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

#: What changes something on disk, or may.
_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}


def die_before(operation: int, folder: Path) -> None:
    """From now on this process counts operations on files below a folder, and dies before this one."""
    seen = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in _EVENTS and isinstance(arguments[0], (str, os.PathLike)):
            seen += Path(arguments[0]).absolute().is_relative_to(folder)
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
