"""What MLflow says of a model: its run's tags, parameters, curves and files, against what is proved elsewhere."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.artifacts import history
from glassbox.artifacts.experiment import flat
from glassbox.files import sha256_file
from glassbox.lineage.digests import sums
from glassbox.lineage.link import Checks, Link, Verdict
from glassbox.tracking import metrics, origin
from glassbox.tracking.model import SHA256_TAG, held
from glassbox.tracking.run import FILES_TAG
from glassbox.tracking.store import existing, refusing

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.model import Files, Lineage
    from glassbox.tracking.store import Store

#: What the name of a run's link begins with.
RUN = "MLflow run"
_ACTION = "run `glassbox track`, which makes MLflow say what is on disk"


def links(lineage: Lineage, files: Files) -> list[Link]:
    """The verdict on every run that says it is of a model: by its fingerprint, or by its SHA-256.

    None is needed where dvc.lock is committed; one that is there has to agree in everything.

    Args:
        lineage: The model's record.
        files: Where the model, its history and its record lie.

    Raises:
        TrackingError: The store cannot be reached or read.
    """
    store = existing()
    if store is None:
        return [_none("there is no store")]
    with refusing():
        runs = [run for run in origin.every(store, lineage.fingerprint, lineage.model_sha256) if _is_whole(run)]
        if not runs:
            return [_none("no finished run is of this model")]
        return [link for run in runs for link in _links(store, run, lineage, files)]


def _none(found: str) -> Link:
    return Link("MLflow", Verdict.MISSING, found, "a run of the model", "run `glassbox track`", needed=False)


def _is_whole(run: MlflowRun) -> bool:
    """Whether a training ended in it: one that was killed has no model, and is none's run."""
    return run.info.status == "FINISHED" or SHA256_TAG in run.data.tags


def _links(store: Store, run: MlflowRun, lineage: Lineage, files: Files) -> list[Link]:
    checks = Checks(f"{RUN} {run.info.run_id}", _ACTION)
    tags = {
        "glassbox.experiment": lineage.experiment,
        "glassbox.fingerprint": lineage.fingerprint,
        SHA256_TAG: lineage.model_sha256,
        **origin.proof(lineage.model_dump(mode="json")),
    }
    found = run.data.tags
    # Logged when the model was evaluated, not before.
    tags |= {"glassbox.dvc_model_md5": sums(files.model).md5} if "glassbox.dvc_model_md5" in found else {}
    for name, value in tags.items():
        checks.same(f"tag {name}", found.get(name), value)
    params = flat(lineage.params)
    for name in sorted(params.keys() | run.data.params.keys()):
        checks.same(f"parameter {name}", run.data.params.get(name), params.get(name))
    folds = {entry.dataset.name: entry.dataset.digest for entry in run.inputs.dataset_inputs}
    for fold in ("train", "validation"):
        digest, name = lineage.data[f"{fold}_sha256"], f"{lineage.params['split']} {fold}"
        checks.same(f"dataset {name}", folds.get(name), digest[: len(folds.get(name) or digest)])
    stage = f"fine_tune@{lineage.experiment}"
    points = metrics.curve_points(history.read(files.history, lineage.history_sha256, stage))
    known = metrics.logged(store, run, {name for name, _ in points})
    checks.same("curves", metrics.agree(known, points), expected=True)
    with tempfile.TemporaryDirectory() as folder:
        _compare_files(checks, store, run, files, Path(folder))
    return checks.links(f"{len(tags)} tags, {len(params)} parameters, curves and files agree")


def _compare_files(checks: Checks, store: Store, run: MlflowRun, files: Files, folder: Path) -> None:
    """Compares the files that the run holds, and MLflow's model of it."""
    said = json.loads(run.data.tags.get(FILES_TAG, "{}"))
    there = {entry.path for entry in store.client.list_artifacts(run.info.run_id)}
    for path in files:
        wanted = sha256_file(path)
        checks.same(f"tag {FILES_TAG}, {path.name}", said.get(path.name), wanted)
        if path.name in there:
            copy = Path(store.client.download_artifacts(run.info.run_id, path.name, str(folder)))
            checks.same(f"file {path.name}", sha256_file(copy), wanted)
        else:
            checks.same(f"file {path.name}", "not there", wanted)
    copies = held(store, run.info.run_id, folder)
    checks.same("models", len(copies), 1)
    for copy in copies:
        checks.same("MLflow's model.keras", sha256_file(copy), sha256_file(files.model))
