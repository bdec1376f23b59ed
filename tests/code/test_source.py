"""A stage runs the code that it depends on, not that of another copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glassbox.code import source
from glassbox.errors import GlassboxError

ROOT = Path(__file__).resolve().parents[2]


def test_this_projects_own_code_may_run(monkeypatch):
    source.refuse_foreign(ROOT)
    monkeypatch.chdir(ROOT)
    source.refuse_foreign(Path())


def test_a_copy_of_the_project_does_not_run_the_originals_code(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    with pytest.raises(GlassboxError) as refusal:
        source.refuse_foreign(tmp_path)
    assert refusal.value.found == f"the code that runs lies in {ROOT / 'src'}"
    assert refusal.value.expected.startswith(str(tmp_path / "src"))


def test_what_the_refusal_advises_helps(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    command = "from pathlib import Path; from glassbox.code import source; source.refuse_foreign(Path())"
    for path, code in (("", 1), ("src", 0)):
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            check=False,
        )
        assert done.returncode == code
