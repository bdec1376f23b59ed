"""The record of what a model was made from; its fingerprint names the training."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox import layout
from glassbox.files import fingerprint, sha256_file
from glassbox.learning.runtime import machine, packages
from glassbox.params import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glassbox.params import Params, PhaseName

#: What is said of an experiment, or done after its training, makes no other model. What a choice led to is in its
#: place: the images and the frozen layers.
_NOT_TRAINING = {"title", "departures", "published", "evaluation", "choice"}


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
        # The shards' own record holds the SHA-256 of each; DVC has compared the files with it.
        "shards_sha256": fingerprint(origin["shards"]),
        "split_sha256": sha256_file(split / "split.parquet"),
        "statistics_sha256": sha256_file(split / "statistics.json"),
        "weights_sha256": _folder(layout.weights(settings.weights)),
    }
    chosen = settings.model_dump(mode="json", exclude=_NOT_TRAINING)
    # As they run: from random weights nothing is frozen.
    chosen |= {name: params.phase(experiment, name).model_dump(mode="json") for name in PHASES}
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


@contextmanager
def unfinished(params: Params, experiment: str, phase: PhaseName) -> Iterator[Path]:
    """Yields where a phase is put aside, and removes it when the block ends well."""
    initial = layout.models(experiment) / layout.INITIAL_MODEL
    begun_with = sha256_file(initial) if phase == "fine_tune" else ""
    with _place(params, experiment, layout.WORK / phase / experiment, begun_with) as place:
        yield place.with_name(f"{place.name}.npz")


@contextmanager
def unfinished_row(params: Params, row: str) -> Iterator[Path]:
    """Yields the folder where a row of a grid is put aside, and removes it when the block ends well."""
    settings = params.rows[row]
    grid = params.grids[settings.grid].model_dump(mode="json", exclude={"choices"})
    begun_with = {"row": settings.model_dump(mode="json"), "grid": grid}
    with _place(params, settings.experiment, layout.WORK / "grid" / row, begun_with) as place:
        yield place


@contextmanager
def _place(params: Params, experiment: str, folder: Path, begun_with: Any) -> Iterator[Path]:
    """Yields a path in `folder`, which is removed when the block ends well.

    It is another path for another recipe, other data, packages, code or machine: with any of these changed, what
    was put aside would not lead to the bytes of an undisturbed training.
    """
    code = [sha256_file(path) for path in sorted(Path(__file__).parent.glob("*.py"))]
    whole = {"record": record(params, experiment), "code": code, "begun_with": begun_with}
    yield folder / fingerprint(whole)
    shutil.rmtree(folder, ignore_errors=True)


def _folder(folder: Path) -> str:
    """One SHA-256 for the names and contents of a folder's files."""
    return fingerprint({path.name: sha256_file(path) for path in sorted(folder.iterdir())})
