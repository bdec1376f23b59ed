"""The run of a model: while it is trained, when it is evaluated, and restored from what is on disk."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import evaluation, model, predictions
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import resolved
from glassbox.files import sha256_file
from glassbox.params.experiments import VARIANTS
from glassbox.tracking import metrics, origin
from glassbox.tracking.model import log_model
from glassbox.tracking.store import TrackingError, alone, existing, open_store, refusing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.history import Epoch
    from glassbox.tracking.store import Store

#: Tag with the SHA-256 of each file that a run holds.
FILES_TAG = "glassbox.files"


def _unless_lost(log: Callable[..., None]) -> Callable[..., None]:
    """A method of `Run` that does nothing once the store has failed."""

    @wraps(log)
    def logged(run: Run, *args: object) -> None:
        if run.lost:
            return
        try:
            with refusing():
                log(run, *args)
        except TrackingError as error:
            if not run.lost:
                said = "training goes on without it; run `glassbox track` when it is back"
                print(f"{error.found}; {said}", file=sys.stderr)
            run.lost = True

    return logged


class Run(AbstractContextManager["Run"]):
    """The run of a model that is being trained: found by its fingerprint, or created.

    It ends as finished, as failed when the block raises, or as killed when the block is interrupted. A run
    whose process was killed stays as it was; the next training of the same fingerprint goes on in it. One that
    is finished stays finished.

    The store is no reason to lose a training of hours: when it fails under way, one line on standard error
    says so, nothing more is logged, and `glassbox track` completes the run later from what is on disk.

    Args:
        made: What the model is made from, as `model.made_from` has it.

    Raises:
        TrackingError: The store cannot be used. This is found before anything is trained.
        ArtifactError: The recipe of the experiment is missing or damaged.
    """

    def __init__(self, made: Mapping[str, Any]) -> None:
        self._made, self._whole = made, resolved(made["experiment"])
        self._rows: list[Epoch] = []
        self.lost = False
        with refusing():
            self._store = open_store()
            with alone():
                run = origin.find(self._store, made["fingerprint"]) or origin.create(self._store, made)
            self._enter(run)

    def _enter(self, run: MlflowRun) -> None:
        self.id = str(run.info.run_id)
        self._finished = run.info.status == "FINISHED"
        self._known = metrics.logged(self._store, run)
        if not self._finished:
            self._store.client.update_run(self.id, status="RUNNING")
        origin.log_origin(self._store, run, self._whole, self._made, {})
        origin.log_folds(self._store, run, self._made, test=False)

    @_unless_lost
    def log_epoch(self, row: Epoch) -> None:
        """Logs one row of the history, unless the run has that epoch already."""
        self._rows.append(row)
        points = metrics.curve_points(self._rows)
        if not metrics.agree(self._known, points):
            # The recipe gave other numbers than it did before: they are a run of their own.
            self._end("FAILED")
            self._enter(origin.create(self._store, self._made))
        metrics.log(self._store, self.id, self._known, points)
        self._known |= points

    @_unless_lost
    def complete(self) -> None:
        """Logs the model that lies on disk now; one that is not whole raises an `ArtifactError`."""
        run_id, _ = complete(self._whole.key, evaluated=False, restored=False)
        if run_id != self.id:
            self._end("FAILED")
        self.id, self._finished = run_id, True

    @_unless_lost
    def _end(self, status: str) -> None:
        if not self._finished:
            self._store.client.set_terminated(self.id, status)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        failed = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._end("FINISHED" if error is None else failed)


def complete(experiment: str, *, evaluated: bool, restored: bool = True) -> tuple[str, str]:
    """Makes the store say of an experiment's model what is on disk, in its run, which is created where it is lost.

    Args:
        experiment: Key of the experiment.
        evaluated: Whether scores, figures, tables and predictions are logged, too.
        restored: Whether a run that has to be created is of an earlier training.

    Returns:
        The run's id, and in a few words what was done.

    Raises:
        TrackingError: The store cannot be used.
        ArtifactError: The model, its history, their record or the recipe is missing or damaged.
    """
    whole, lineage = resolved(experiment), model.read_lineage(experiment)
    path, points = model.verified(lineage), metrics.curve_points(model.read_history(lineage))
    measured = metrics.score_points(evaluation.read_scores(experiment)) if evaluated else {}
    made, store = lineage.model_dump(mode="json"), open_store()
    with refusing(), alone():
        run = origin.find(store, lineage.fingerprint, lineage.model_sha256)
        known = metrics.logged(store, run) if run else {}
        done = "completed"
        if run is None or not metrics.agree(known, points):
            # Half a run of the same recipe with other curves is not this model's.
            run, known, done = origin.create(store, made, restored=restored), {}, "restored"
        run_id = str(run.info.run_id)
        folds = origin.log_folds(store, run, made, test=evaluated)
        changed = [
            folds,
            origin.log_origin(store, run, whole, made, origin.revision(experiment)),
            metrics.log(store, run_id, known, points | measured),
            log_model(store, run_id, made, path, lineage.model_sha256),
            _log_files(store, run, experiment, evaluated=evaluated),
        ]
        if run.info.status != "FINISHED":
            store.client.set_terminated(run_id, "FINISHED")
            changed.append(True)
    if folds is None:
        return run_id, f"{done} run {run_id}, without its folds: its split is not on disk (dvc pull)"
    return run_id, f"{done} run {run_id}" if any(changed) else "complete already"


def restore(experiment: str) -> tuple[str, str]:
    """`complete`, evaluated where what was measured is on disk and of this model; what was done says where not."""
    note = _not_evaluated(experiment)
    run_id, done = complete(experiment, evaluated=not note)
    return run_id, f"{done}{note}"


def mirror(experiment: str) -> str:
    """Makes the store say what is on disk of an experiment, and says in a line what that took.

    A second call changes nothing.
    """
    try:
        _, done = restore(experiment)
    except ArtifactError as error:
        return f"{experiment}: no whole model on disk: {error.found} (dvc pull or dvc repro)"
    return f"{experiment}: {done}"


def attach(fingerprint: str, model_sha256: str, folder: Path) -> str | None:
    """Uploads a folder to the run of a model, under its name; the run's id, or None where no run is of it.

    Raises:
        TrackingError: The store cannot be used.
    """
    store = existing()
    with refusing(), alone():
        run = origin.find(store, fingerprint, model_sha256) if store else None
        if store is None or run is None:
            return None
        store.client.log_artifacts(run.info.run_id, str(folder), folder.name)
        return str(run.info.run_id)


def _not_evaluated(experiment: str) -> str:
    """Why what was measured, every file of it, is not of the model on disk; nothing where it is."""
    try:
        digest = model.read_lineage(experiment).model_sha256
        if evaluation.verified(experiment).model_sha256 != digest:
            return ", but what was measured is of another model (dvc repro)"
        for variant in VARIANTS:
            predictions.read(experiment, variant, digest)
    except ArtifactError as error:
        return f", not evaluated yet: {error.found} (dvc repro)"
    return ""


def held_files(experiment: str, *, evaluated: bool) -> dict[str, Path]:
    """The files that the run of a model holds, by their names in it: those of the project, without the experiment.

    Args:
        experiment: Its key.
        evaluated: Whether what was predicted and measured is among them.

    Raises:
        ArtifactError: The record of what was measured is missing or damaged.
    """
    files = {path.name: path for path in model.files(experiment)}
    if evaluated:
        measured, said = evaluation.folder(experiment), predictions.folder(experiment)
        files |= {f"metrics/{name}": measured / name for name in evaluation.read(experiment).files}
        files |= {f"predictions/{variant}.parquet": said / f"{variant}.parquet" for variant in VARIANTS}
    return files


def _log_files(store: Store, run: MlflowRun, experiment: str, *, evaluated: bool) -> bool:
    """Uploads the files that the run does not hold, whole and as they are on disk. Says whether there are any."""
    files = held_files(experiment, evaluated=evaluated)
    run_id, hashes = run.info.run_id, {name: sha256_file(path) for name, path in files.items()}
    known = json.loads(run.data.tags.get(FILES_TAG, "{}"))
    sizes = {
        entry.path: entry.file_size
        for folder in (None, "metrics", "predictions")
        for entry in store.client.list_artifacts(run_id, folder)
    }
    held = {name for name in sizes if known.get(name) == hashes.get(name)}
    missing = [name for name, path in files.items() if name not in held or sizes[name] != path.stat().st_size]
    for name in missing:
        store.client.log_artifact(run_id, str(files[name]), name.rpartition("/")[0] or None)
    if missing:
        store.client.set_tag(run_id, FILES_TAG, json.dumps(known | hashes))
    return bool(missing)
