"""environment.yaml, on which stages depend, says what uv.lock installs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_the_versions_that_stages_depend_on_are_the_locked_ones_on_every_python():
    versions = yaml.safe_load((ROOT / "environment.yaml").read_text())
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version"))
    assert {name: {version} for name, version in versions.items()} == {name: locked[name] for name in versions}


def test_every_package_that_a_stage_names_is_there():
    versions = yaml.safe_load((ROOT / "environment.yaml").read_text())
    named = set()
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        for entry in stage.get("do", stage)["params"]:
            if isinstance(entry, dict):
                named |= set(entry["environment.yaml"])
    assert named == set(versions)
