"""Makes the store say what is on disk: after an evaluation, in a fresh clone, or when the store was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassbox.artifacts import evaluation, model, predictions, scores
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import resolved
from glassbox.artifacts.scores import VARIANTS
from glassbox.files import fingerprint, sha256_file
from glassbox.tracking import lock
from glassbox.tracking.curves import agree, curve_points, log_points, points, safe_name, same_value
from glassbox.tracking.model import log_model
from glassbox.tracking.origin import create, find, log_folds, log_origin
from glassbox.tracking.store import Store, open_store, refusing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.experiment import Resolved
    from glassbox.artifacts.model import Lineage

#: Tag that says which files a run holds; set when all of them are there.
_FILES_TAG = "glassbox.files_sha256"


def log_evaluation(experiment: str) -> None:
    """Logs an experiment's scores, figures, tables and predictions to the run of its model.

    Where the store has no such run (a lost store, a model that came from DVC's cache), it is restored first.

    Raises:
        TrackingError: The store cannot be used.
        ArtifactError: The model, its record or the recipe is missing or damaged.
    """
    whole, lineage = resolved(experiment), model.read_lineage(experiment)
    model.verified(lineage)
    with refusing():
        _complete(open_store(), whole, lineage, evaluated=True)


def mirror(experiments: Iterable[str]) -> list[str]:
    """Makes the store say what is on disk of every experiment; a second call changes nothing.

    Returns:
        One line an experiment: what was done.

    Raises:
        TrackingError: The store cannot be used.
    """
    lines, store = [], None
    for experiment in experiments:
        try:
            whole, lineage = resolved(experiment), model.read_lineage(experiment)
            model.verified(lineage)
            model.read_history(lineage)
        except ArtifactError as error:
            lines.append(f"{experiment}: no whole model on disk: {error.found} (dvc pull or dvc repro)")
            continue
        note, evaluated = _evaluated(experiment, lineage)
        with refusing():
            store = store or open_store()
            lines.append(f"{experiment}: {_complete(store, whole, lineage, evaluated=evaluated)}{note}")
    return lines


def _evaluated(experiment: str, lineage: Lineage) -> tuple[str, bool]:
    """Whether what was measured, every file of it, is of the model on disk; and what to say where it is not."""
    try:
        measured = evaluation.read(experiment)
        for name in measured.files:
            evaluation.content(experiment, name)
        if measured.model_sha256 != lineage.model_sha256:
            return ", but what was measured is of another model (dvc repro)", False
        for variant in VARIANTS:
            predictions.read(experiment, variant, lineage.model_sha256)
    except ArtifactError as error:
        return f", not evaluated yet: {error.found} (dvc repro)", False
    return "", True


def _complete(store: Store, whole: Resolved, lineage: Lineage, *, evaluated: bool) -> str:
    """Completes the run of the model on disk, and says in a few words what that took."""
    experiment, made = lineage.experiment, lineage.model_dump(mode="json")
    path = model.files(experiment).model
    curves = curve_points(model.read_history(lineage))
    with store.alone():
        run = find(store, lineage.fingerprint, lineage.model_sha256)
        if run is not None and not agree(points(store, run), curves):
            # Half a run of the same recipe on another machine: its curves are not this model's.
            run = None
        restored = run is None
        if run is None:
            run = create(store, made, restored=True)
        folds = log_folds(store, run, made, test=evaluated)
        changed = [
            log_origin(store, run, whole, made),
            folds,
            _log_new_points(store, run, curves),
            log_model(store, run.info.run_id, made, path, lineage.model_sha256),
            _log_scores(store, run, experiment) if evaluated else False,
            _log_files(store, run, dict(_files(experiment, evaluated=evaluated))),
            _log_tags(store, run, lock.tags(experiment)),
        ]
        if run.info.status != "FINISHED":
            store.client.set_terminated(run.info.run_id, "FINISHED")
            changed.append(True)
    done = f"{'restored' if restored else 'completed'} run {run.info.run_id}"
    if folds is None:
        return f"{done}, without its folds: its split is not on disk (dvc pull)"
    return done if any(changed) else "complete already"


def _log_new_points(store: Store, run: MlflowRun, curves: Mapping[tuple[str, int], float]) -> bool:
    known = points(store, run)
    missing = {point: value for point, value in curves.items() if point not in known}
    log_points(store, run.info.run_id, missing)
    return bool(missing)


def _log_scores(store: Store, run: MlflowRun, experiment: str) -> bool:
    measured = {variant: scored.model_dump() for variant, scored in scores.read(experiment).items()}
    known = run.data.metrics
    changed = {
        (name, 0): value
        for name, value in _flat_scores(measured)
        if name not in known or not same_value(known[name], value)
    }
    log_points(store, run.info.run_id, changed)
    return bool(changed)


def _flat_scores(value: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of scores.json, under names joined with `_`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = safe_name(key)
            yield from _flat_scores(inner, f"{prefix}_{name}" if prefix else name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield prefix, float(value)


def _files(experiment: str, *, evaluated: bool) -> Iterator[tuple[str, Path]]:
    """What a run holds, by its name there: the names are those of the project, without the experiment."""
    for path in model.files(experiment):
        yield path.name, path
    if evaluated:
        for kind, folder in (
            ("metrics", evaluation.folder(experiment)),
            ("predictions", predictions.folder(experiment)),
        ):
            for path in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
                if not path.name.startswith("."):
                    yield f"{kind}/{path.relative_to(folder).as_posix()}", path


def _log_files(store: Store, run: MlflowRun, files: Mapping[str, Path]) -> bool:
    """Uploads what the run does not hold."""
    digest = fingerprint({name: sha256_file(path) for name, path in files.items()})
    folders = {name.rpartition("/")[0] for name in files}
    held = (
        {path: size for folder in folders for path, size in _held(store, run.info.run_id, folder)}
        if run.data.tags.get(_FILES_TAG) == digest
        else {}
    )
    missing = {name: path for name, path in files.items() if held.get(name) != path.stat().st_size}
    for name, path in missing.items():
        store.client.log_artifact(run.info.run_id, str(path), name.rpartition("/")[0] or None)
    if missing:
        store.client.set_tag(run.info.run_id, _FILES_TAG, digest)
    return bool(missing)


def _held(store: Store, run_id: str, folder: str) -> Iterator[tuple[str, int]]:
    """The files right inside a folder of a run's artifacts, and their sizes in bytes."""
    for entry in store.client.list_artifacts(run_id, folder or None):
        if not entry.is_dir:
            yield entry.path, entry.file_size


def _log_tags(store: Store, run: MlflowRun, tags: Mapping[str, str]) -> bool:
    changed = {key: value for key, value in tags.items() if run.data.tags.get(key) != value}
    for key, value in changed.items():
        store.client.set_tag(run.info.run_id, key, value)
    return bool(changed)
