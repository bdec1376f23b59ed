"""Small projects, written into a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Written = Callable[[dict[str, str]], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes files by their paths from the root of a project, and returns that root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write
