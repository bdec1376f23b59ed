"""What dvc.lock says about an experiment: which model is its, and what its scores were measured on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from glassbox import layout

_LOCK = Path("dvc.lock")


def tags(experiment: str) -> dict[str, str]:
    """The tags that lead from a run to the revision that holds its model.

    `git log --all -S<glassbox.dvc_model_md5> -- dvc.lock` finds it, queued experiments included. Empty where
    dvc.lock does not hold the model that is on disk.
    """
    entry = _stages().get(f"fine_tune@{experiment}", {})
    model = layout.models(experiment) / "model.keras"
    md5 = _md5s(entry, "outs").get(model.as_posix())
    if md5 is None or md5 != _md5(model):
        return {}
    canonical = yaml.safe_dump(entry, sort_keys=True).encode()
    return {
        "glassbox.dvc_model_md5": md5,
        "glassbox.dvc_stage_md5": hashlib.md5(canonical, usedforsecurity=False).hexdigest(),
    }


def evaluation_is_current(experiment: str) -> bool:
    """Whether the scores on disk are those of the model on disk, as far as dvc.lock knows.

    Training anew leaves the old scores in place until the model is evaluated.
    """
    stages = _stages()
    predict, evaluate = stages.get(f"predict@{experiment}"), stages.get(f"evaluate@{experiment}")
    if predict is None or evaluate is None:
        return not _LOCK.exists()
    model = layout.models(experiment) / "model.keras"
    produced, scored = _md5s(predict, "outs"), _md5s(evaluate, "deps")
    return _md5s(predict, "deps").get(model.as_posix()) == _md5(model) and all(
        scored[path] == md5 for path, md5 in produced.items() if path in scored
    )


def _stages() -> dict[str, Any]:
    if not _LOCK.exists():
        return {}
    stages: dict[str, Any] = yaml.safe_load(_LOCK.read_text(encoding="utf-8"))["stages"]
    return stages


def _md5s(entry: dict[str, Any], side: str) -> dict[str, str]:
    return {item["path"]: item["md5"] for item in entry.get(side, []) if "md5" in item}


def _md5(path: Path) -> str:
    """The hash by which DVC knows a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
