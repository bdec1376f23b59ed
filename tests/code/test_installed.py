"""A stage begins only with the packages that were locked."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from glassbox.code import digests, installed
from glassbox.errors import GlassboxError

ROOT = Path(__file__).resolve().parents[2]


def test_what_uv_installed_passes_for_every_stage():
    for code in digests.digests(ROOT).values():
        installed.check(code.packages)


def test_another_version_and_a_missing_package_are_refused_in_one_message():
    with pytest.raises(GlassboxError) as refusal:
        installed.check({"numpy": "1.0", "pandas": version("pandas"), "no-such-package": "2.0"})
    assert refusal.value.found == f"numpy {version('numpy')} is installed, no-such-package is not installed"
    assert refusal.value.expected == "numpy 1.0, no-such-package 2.0, as locked in uv.lock"
    assert refusal.value.action == "run `uv sync`"


def test_asking_imports_none_of_the_packages():
    command = (
        "import sys\n"
        "from glassbox.code import installed, source\n"
        f"installed.check({{'numpy': {version('numpy')!r}, 'keras': {version('keras')!r}}})\n"
        "sys.exit(bool({'numpy', 'keras', 'tomllib'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
