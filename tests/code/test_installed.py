"""A stage begins only with the packages that were locked, and with the code that it depends on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from glassbox.code import digests, installed

ROOT = Path(__file__).resolve().parents[2]


def test_what_uv_installed_passes_for_every_stage():
    for code in digests.digests(ROOT).values():
        installed.check(code.packages)


def test_asking_imports_none_of_the_packages():
    command = (
        "import sys\n"
        "from glassbox.code import installed\n"
        f"installed.check({{'numpy': {version('numpy')!r}, 'keras': {version('keras')!r}}})\n"
        "sys.exit(bool({'numpy', 'keras', 'tomllib'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_this_projects_own_code_may_run(monkeypatch):
    installed.refuse_foreign(ROOT)
    monkeypatch.chdir(ROOT)
    installed.refuse_foreign(Path())


def test_what_the_refusal_advises_helps(tmp_path):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    command = "from pathlib import Path; from glassbox.code import installed; installed.refuse_foreign(Path())"
    for path, code in (("", 1), ("src", 0)):
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            check=False,
        )
        assert done.returncode == code
