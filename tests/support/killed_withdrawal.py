"""A withdrawal in a process of its own that kills itself at a chosen moment.

A server that forks such processes imports this module: it has all that takes long to import.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dvc.repo
from dying import die_before

from glassbox.lineage.withdrawal.withdraw import withdraw
from glassbox.params import withdrawn as lists

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Loaded here, once: the withdrawal imports it where it asks DVC.
PRELOADED = dvc.repo.Repo


def withdrawn(folder: Path, patients: Sequence[str], operation: int) -> None:
    """Withdraws patients of `films`; from the first write on, dies before so many operations on its files."""
    os.chdir(folder)
    write = lists.write

    def written(source: str, patients: Sequence[str]) -> None:
        die_before(operation, folder)
        write(source, patients)

    lists.write = written
    withdraw("films", patients)
