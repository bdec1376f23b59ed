"""The record of what a model was made from; its fingerprint names the training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glassbox import layout
from glassbox.files import fingerprint, sha256_file
from glassbox.learning.runtime import machine, packages

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params import Params

#: What is said of an experiment, or done after its training, makes no other model.
_NOT_TRAINING = {"title", "published", "evaluation"}


def record(params: Params, experiment: str) -> dict[str, Any]:
    """What the model of an experiment is made from: parameters, data by SHA-256, package versions, machine.

    Two trainings with one fingerprint had the same parameters, data and packages. The machine is recorded but
    is no part of it.
    """
    settings = params.experiments[experiment]
    origin = json.loads((layout.shards(settings.dataset) / "origin.json").read_text(encoding="utf-8"))
    split = layout.split(settings.split)
    data = {
        "archive_sha256": origin["archive_sha256"],
        "catalog_sha256": origin["catalog_sha256"],
        "shards_sha256": _folder(layout.shards(settings.dataset)),
        "split_sha256": sha256_file(split / "split.parquet"),
        "statistics_sha256": sha256_file(split / "statistics.json"),
        "weights_sha256": _folder(layout.weights(settings.weights)),
    }
    chosen = settings.model_dump(mode="json", exclude=_NOT_TRAINING)
    return {
        "experiment": experiment,
        "fingerprint": fingerprint(
            {"experiment": experiment, "params": chosen, "data": data, "packages": packages()}
        ),
        "params": chosen,
        "data": data,
        "packages": packages(),
        "machine": machine(),
    }


def _folder(folder: Path) -> str:
    """One SHA-256 for the names and contents of a folder's files."""
    return fingerprint({path.name: sha256_file(path) for path in sorted(folder.iterdir())})
