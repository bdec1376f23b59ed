"""One process, from start to exit: what it took, and what it printed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Run(NamedTuple):
    """What a process took."""

    seconds: float
    #: Seconds of the processor, over all cores: what a busy machine does not lengthen.
    cpu: float
    #: Peak of its resident memory.
    mb: float


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[Run, bytes]:
    """Runs a program in a folder; what it took, and what it printed. One that fails ends the benchmark."""
    with tempfile.TemporaryFile() as printed:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=printed)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            sys.exit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
        printed.seek(0)
        # Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6), printed.read()
