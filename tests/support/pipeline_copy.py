"""A copy of this project's pipeline, in which a test may run it."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_pipeline(root: Path) -> None:
    """Copies stages, modules and configuration; parameters and repository are the test's own.

    Numba's cache comes along, so that no copy compiles again.
    """
    for folder in ("src", "stages", "conf"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc"))
    for file in ("dvc.yaml", "environment.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / file, root / file)
