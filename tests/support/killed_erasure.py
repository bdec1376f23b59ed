"""An erasure in a process of its own that kills itself at a chosen moment.

A server that forks such processes imports this module: it has all that takes long to import.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dvc.repo
import mlflow.tracking
from dying import die_before

from glassbox.lineage.erasure import erase as erasure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Loaded here, once.
PRELOADED = dvc.repo.Repo, mlflow.tracking.MlflowClient


def erased(folder: Path, patients: Sequence[str], operation: int) -> None:
    """Erases patients of `films`; from the journal on, dies before so many operations on its files."""
    os.chdir(folder)
    write = erasure.journal.write

    def written(begun: erasure.Journal) -> None:
        if begun.marks is None:
            die_before(operation, folder)
        write(begun)

    erasure.journal.write = written  # type: ignore[assignment]
    erasure.erase("films", patients)
