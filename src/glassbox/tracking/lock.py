"""What dvc.lock says about an experiment: which model is its."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from glassbox.artifacts import model

_LOCK = Path("dvc.lock")


def tags(experiment: str) -> dict[str, str]:
    """The tags that lead from a run to the revision that holds its model.

    `git log --all -S<glassbox.dvc_model_md5> -- dvc.lock` finds it, queued experiments included. Empty where
    dvc.lock does not hold the model that is on disk.
    """
    entry = _stages().get(f"fine_tune@{experiment}", {})
    path = model.files(experiment).model
    md5 = {out["path"]: out.get("md5") for out in entry.get("outs", [])}.get(path.as_posix())
    if md5 is None or md5 != _md5(path):
        return {}
    canonical = yaml.safe_dump(entry, sort_keys=True).encode()
    return {
        "glassbox.dvc_model_md5": md5,
        "glassbox.dvc_stage_md5": hashlib.md5(canonical, usedforsecurity=False).hexdigest(),
    }


def _stages() -> dict[str, Any]:
    if not _LOCK.exists():
        return {}
    stages: dict[str, Any] = yaml.safe_load(_LOCK.read_text(encoding="utf-8"))["stages"]
    return stages


def _md5(path: Path) -> str:
    """The hash by which DVC knows a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
