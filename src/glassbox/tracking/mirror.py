"""Makes the store say what is on disk: after an evaluation, in a fresh clone, or when the store was lost."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from glassbox import layout
from glassbox.errors import TrackingError
from glassbox.files import fingerprint, sha256_file
from glassbox.tracking import lock
from glassbox.tracking.curves import agree, curve_points, log_points, points, safe_name, same_value
from glassbox.tracking.model import log_model
from glassbox.tracking.origin import create, find, log_folds, log_origin
from glassbox.tracking.store import Store, open_store, refusing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

    from glassbox.params import Params

#: Tag that says which files a run holds; set when all of them are there.
_FILES_TAG = "glassbox.files_sha256"
_MODEL_FILES = ("lineage.json", "history.csv", "model.keras")


def log_evaluation(params: Params, experiment: str) -> None:
    """Logs an experiment's scores, figures, tables and predictions to the run of its model.

    Where the store has no such run (a lost store, a model that came from DVC's cache), it is restored first.

    Raises:
        TrackingError: The store cannot be used, or there is no finished model on disk.
    """
    if refusal := _unfinished(experiment):
        raise TrackingError(
            f"{experiment}: {refusal}",
            f"a finished model and its lineage in {layout.models(experiment)}/",
            "run `dvc repro` or `dvc pull`",
        )
    with refusing():
        _complete(open_store(), params, experiment, evaluated=True)


def mirror(params: Params) -> list[str]:
    """Makes the store say what is on disk of every experiment; a second call changes nothing.

    Returns:
        One line an experiment: what was done.

    Raises:
        TrackingError: The store cannot be used.
    """
    lines, store = [], None
    for experiment in params.experiments:
        if refusal := _unfinished(experiment):
            lines.append(f"{experiment}: {refusal}")
            continue
        note, evaluated = "", (layout.metrics(experiment) / "scores.json").is_file()
        if not evaluated:
            note = ", not evaluated yet (dvc repro)"
        elif not lock.evaluation_is_current(experiment):
            note, evaluated = ", but what was measured is of another model (dvc repro)", False
        with refusing():
            store = store or open_store()
            lines.append(f"{experiment}: {_complete(store, params, experiment, evaluated=evaluated)}{note}")
    return lines


def _unfinished(experiment: str) -> str | None:
    """Why there is nothing to mirror of an experiment, or None."""
    folder = layout.models(experiment)
    if not all((folder / name).is_file() for name in _MODEL_FILES):
        return "no model on disk yet (dvc pull or dvc repro)"
    expected = _read_json(folder / layout.LINEAGE).get("model_sha256")
    if sha256_file(folder / layout.MODEL) != expected:
        return "the model on disk is not the one its lineage names (dvc checkout or dvc repro)"
    return None


def _complete(store: Store, params: Params, experiment: str, *, evaluated: bool) -> str:
    """Completes the run of the model on disk, and says in a few words what that took."""
    folder = layout.models(experiment)
    lineage = _read_json(folder / layout.LINEAGE)
    with (folder / layout.HISTORY).open(newline="", encoding="utf-8") as stream:
        curves = curve_points(list(csv.DictReader(stream)))
    with store.alone():
        run = find(store, lineage["fingerprint"], lineage["model_sha256"])
        if run is not None and not agree(points(store, run), curves):
            # Half a run of the same recipe on another machine: its curves are not this model's.
            run = None
        restored = run is None
        if run is None:
            run = create(store, params, lineage, restored=True)
        folds = log_folds(store, run, lineage)
        changed = [
            log_origin(store, run, params, lineage),
            folds,
            _log_new_points(store, run, curves),
            log_model(store, run.info.run_id, lineage, folder / layout.MODEL, lineage["model_sha256"]),
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
    scores = dict(_flat_scores(_read_json(layout.metrics(experiment) / "scores.json")))
    known = run.data.metrics
    changed = {
        (name, 0): value
        for name, value in scores.items()
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
    for name in _MODEL_FILES:
        yield name, layout.models(experiment) / name
    if evaluated:
        for kind, folder in (
            ("metrics", layout.metrics(experiment)),
            ("predictions", layout.predictions(experiment)),
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


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrackingError(
            f"{path} cannot be read: {error}", "the JSON file that its stage wrote", "run `dvc checkout`"
        ) from None
