"""What MLflow says of a model: its run's tags, parameters, curves and files, against what is proved elsewhere."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import evaluation, model, split
from glassbox.artifacts.experiment import flat
from glassbox.files import sha256_file
from glassbox.lineage.digests import sums
from glassbox.lineage.link import Checks, Link, Verdict
from glassbox.tracking import metrics, origin
from glassbox.tracking.model import SHA256_TAG, held
from glassbox.tracking.origin import RESTORED_TAG
from glassbox.tracking.run import FILES_TAG, held_files
from glassbox.tracking.store import existing, refusing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.model import Lineage
    from glassbox.tracking.metrics import Point
    from glassbox.tracking.store import Store

#: What the name of a run's link begins with, where the run was written while the model was made.
RUN = "MLflow run"
_ACTION = "run `glassbox track`, which makes MLflow say what is on disk"
#: Tags that say what a model was made from.
_PROOF = ("data.", "code.", "machine.")
#: A tag of a model that was evaluated: not before that, it is known to DVC.
_MD5_TAG = "glassbox.dvc_model_md5"


class Proved(NamedTuple):
    """What is proved of a model elsewhere, and a run has to agree with."""

    lineage: Lineage
    #: By their names in a run: the model, its history and its record.
    made: dict[str, Path]
    #: Likewise: what was predicted and measured, where that is at hand and of this model.
    measured: dict[str, Path]
    curves: dict[Point, float]
    scores: dict[Point, float]
    #: Fold -> SHA-256 of its table; the test fold is among them where it is at hand.
    folds: dict[str, str]


def proved(lineage: Lineage, *, evaluated: bool) -> Proved:
    """What the artifacts of the current folder, a `view`, say of a model.

    Args:
        lineage: The model's record.
        evaluated: Whether what was measured of it is verified.

    Raises:
        ArtifactError: Some of it is missing or damaged.
    """
    key = lineage.experiment
    made, every = (
        {name: path.absolute() for name, path in held_files(key, evaluated=which).items()}
        for which in (False, evaluated)
    )
    folds = {fold: lineage.data[f"{fold}_sha256"] for fold in ("train", "validation")}
    if (test := split.path(lineage.params["split"], "test")).is_file():
        folds["test"] = sha256_file(test)
    model.verified(lineage)
    curves = metrics.curve_points(model.read_history(lineage))
    scores = metrics.score_points(evaluation.read_scores(key)) if evaluated else {}
    measured = {name: path for name, path in every.items() if name not in made}
    return Proved(lineage, made, measured, curves, scores, folds)


def links(proved: Proved, *, whole: bool) -> list[Link]:
    """The verdict on every run that says it is of a model: by its fingerprint, or by its SHA-256.

    None is needed where dvc.lock is committed; one that is there has to agree in everything.

    Args:
        proved: What is proved of the model elsewhere.
        whole: Whether a run has to say what was measured, too, although it may have been tracked before that.

    Raises:
        TrackingError: The store cannot be reached or read.
    """
    store = existing()
    if store is None:
        return [_none("there is no store")]
    lineage = proved.lineage
    with refusing():
        runs = _of(store, "glassbox.fingerprint", lineage.fingerprint)
        # Other code may have made the same bytes. Its run counts only where none is of this recipe.
        runs = runs or _of(store, SHA256_TAG, lineage.model_sha256)
        if not runs:
            return [_none("no finished run is of this model")]
        return [link for run in runs for link in _links(store, run, proved, whole=whole)]


def _none(found: str) -> Link:
    return Link("MLflow", Verdict.MISSING, found, "a run of the model", "run `glassbox track`", needed=False)


def _of(store: Store, tag: str, value: str) -> list[MlflowRun]:
    """The runs with a tag in which a training ended: one that was killed has no model, and is none's run."""
    runs = origin.tagged(store, tag, value)
    return [run for run in runs if run.info.status == "FINISHED" or SHA256_TAG in run.data.tags]


def _links(store: Store, run: MlflowRun, proved: Proved, *, whole: bool) -> list[Link]:
    # What was written later, from what was on disk, confirms nothing: its link has another name.
    written = "restored " if RESTORED_TAG in run.data.tags else ""
    checks = Checks(f"{written}{RUN} {run.info.run_id}", _ACTION)
    lineage, said = proved.lineage, _said(run)
    whole |= not proved.made.keys() >= said.keys()
    tags = _tags(lineage)
    found = run.data.tags
    tags |= {_MD5_TAG: sums(proved.made["model.keras"]).md5} if _MD5_TAG in found else {}
    for name in sorted(tags.keys() | {name for name in found if name.startswith(_PROOF)}):
        checks.same(f"tag {name}", found.get(name), tags.get(name))
    params = flat(lineage.params)
    for name in sorted(params.keys() | run.data.params.keys()):
        checks.same(f"parameter {name}", run.data.params.get(name), params.get(name))
    _compare_folds(checks, run, proved, whole=whole)
    points = proved.curves
    known = metrics.logged(store, run, {name for name, _ in points})
    if whole:
        points = points | proved.scores
        known |= {(name, 0): value for name, value in run.data.metrics.items() if (name, 0) in proved.scores}
    for name, epoch in metrics.differing(known, points):
        point = name, epoch
        checks.same(f"metric {name} at epoch {epoch}", known.get(point), points.get(point))
    with tempfile.TemporaryDirectory() as folder:
        _compare_files(checks, store, run, proved.made | (proved.measured if whole else {}), Path(folder))
    return checks.links(f"{len(tags)} tags, {len(params)} parameters, {len(points)} numbers and files agree")


def _tags(lineage: Lineage) -> dict[str, str]:
    return {
        "glassbox.experiment": lineage.experiment,
        "glassbox.fingerprint": lineage.fingerprint,
        SHA256_TAG: lineage.model_sha256,
        **origin.proof(lineage.model_dump(mode="json")),
    }


def _said(run: MlflowRun) -> dict[str, object]:
    """The SHA-256 of each file, as the run's tag has them; none where nobody can read it."""
    try:
        said = json.loads(run.data.tags.get(FILES_TAG, "{}"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _compare_folds(checks: Checks, run: MlflowRun, proved: Proved, *, whole: bool) -> None:
    """Looks for the folds among the datasets; a run that was tested on another fold later has both."""
    logged = [(entry.dataset.name, entry.dataset.digest) for entry in run.inputs.dataset_inputs]
    for fold, digest in proved.folds.items():
        name = f"{proved.lineage.params['split']} {fold}"
        found = [of for known, of in logged if known == name]
        # MLflow has room for 36 digits.
        if (fold != "test" or whole) and digest[:36] not in found:
            checks.same(f"dataset {name}", ", ".join(found) or "not there", digest[:36])


def _compare_files(checks: Checks, store: Store, run: MlflowRun, files: Mapping[str, Path], folder: Path) -> None:
    """Compares the files that the run holds, and MLflow's model of it."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # The client's own functions ask the database anew for each file.
    repository = get_artifact_repository(run.info.artifact_uri, tracking_uri=store.client.tracking_uri)
    folders = {name.rpartition("/")[0] or None for name in files}
    there = {entry.path for at in folders for entry in repository.list_artifacts(at)}
    said = _said(run)
    for name, path in files.items():
        wanted = sha256_file(path)
        checks.same(f"tag {FILES_TAG}, {name}", said.get(name), wanted)
        if name in there:
            copy = repository.download_artifacts(name, str(folder))
            checks.same(f"file {name}", sha256_file(Path(copy)), wanted)
        else:
            checks.same(f"file {name}", "not there", wanted)
    copies = held(store, run.info.run_id, folder)
    checks.same("MLflow's models with their model.keras", len(copies), 1)
    for copy in copies:
        checks.same("MLflow's model.keras", sha256_file(copy), sha256_file(files["model.keras"]))
