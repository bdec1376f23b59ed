"""What a model is made from, as its run shows it: the recipe, the hashes of its data, its folds, its revision."""

from __future__ import annotations

import hashlib
import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from glassbox.artifacts import model, split
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import flat
from glassbox.artifacts.split import FOLDS, LABEL
from glassbox.files import sha256_file
from glassbox.params.read import ParamsError, values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import DatasetInput
    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.experiment import Resolved
    from glassbox.params.experiments import Experiment
    from glassbox.tracking.store import Store

#: Tag of a run that was written after its training, from what was on disk.
RESTORED_TAG = "glassbox.restored"
#: Key -> value.
Tags = dict[str, str]


def find(store: Store, fingerprint: str, model_sha256: str | None = None) -> MlflowRun | None:
    """The run of a fingerprint, or None: that of its model, or one without a model, or, of no model, any."""
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`glassbox.fingerprint` = '{fingerprint}'",
        order_by=["attributes.start_time DESC"],
    )
    by_model = {run.data.tags.get("glassbox.model_sha256"): run for run in reversed(runs)}
    return by_model.get(model_sha256) or by_model.get(None) or (runs[0] if runs and not model_sha256 else None)


def tagged(store: Store, name: str, value: str) -> list[MlflowRun]:
    """The runs with a tag."""
    return list(store.client.search_runs([store.experiment_id], f"tags.`{name}` = '{value}'"))


def create(store: Store, made: Mapping[str, Any], *, restored: bool = False) -> MlflowRun:
    """Creates the run of a model, with the tags by which it is found."""
    experiment = made["experiment"]
    tags = {
        "glassbox.fingerprint": made["fingerprint"],
        "glassbox.experiment": experiment,
        "mlflow.source.name": f"fine_tune@{experiment}",
        "mlflow.source.type": "LOCAL",
    }
    if restored:
        tags[RESTORED_TAG] = "true"
    else:
        with suppress(OSError, subprocess.CalledProcessError):
            # The commit that will hold dvc.lock is not there yet: this is its parent.
            head = subprocess.check_output(["git", "rev-parse", "--verify", "HEAD"], stderr=subprocess.DEVNULL)
            tags["glassbox.git_parent"] = head.decode().strip()
    with suppress(ParamsError, KeyError, TypeError):
        tags["glassbox.profile"] = str(values()["profile"])
    block = made["params"]
    # The table of runs shows the name, so that hyperparameters belong there.
    name = (
        f"{experiment} {block['model']['backbone']} lr={block['fine_tune']['optimizer']['learning_rate']:g} "
        f"batch={block['training']['batch_size']} epochs={block['warm_start']['epochs']}+"
        f"{block['fine_tune']['epochs']} weights={block['weights']}"
    )
    return store.client.create_run(store.experiment_id, tags=tags, run_name=name)


def revision(experiment: str) -> Tags:
    """The tags that lead from a run to the revision that holds its model.

    `git log --all -S<glassbox.dvc_model_md5> -- dvc.lock` finds it, queued experiments included. Empty where
    dvc.lock does not hold the model that is on disk.
    """
    lock = Path("dvc.lock")
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.exists() else {}
    entry, path = stages.get(f"fine_tune@{experiment}", {}), model.files(experiment).model
    with path.open("rb") as stream:
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if (path.as_posix(), md5) not in {(out["path"], out.get("md5")) for out in entry.get("outs", [])}:
        return {}
    canonical = yaml.safe_dump(entry, sort_keys=True).encode()
    return {
        "glassbox.dvc_model_md5": md5,
        "glassbox.dvc_stage_md5": hashlib.md5(canonical, usedforsecurity=False).hexdigest(),
    }


def proof(made: Mapping[str, Any]) -> Tags:
    """The tags that say what a model was made from: hashes of data and code, and the kind of machine."""
    return {
        **{f"data.{key}": value for key, value in made["data"].items()},
        **{f"code.{key}": value for key, value in made["code"].items()},
        **{f"machine.{key}": value for key, value in flat(made["machine"]).items()},
    }


def log_origin(store: Store, run: MlflowRun, whole: Resolved, made: Mapping[str, Any], more: Tags) -> bool:
    """Logs parameters, hashes and more tags, each unless the run has it. Says whether anything was missing."""
    from mlflow.entities import Param, RunTag

    params = flat(made["params"])
    tags = {
        "mlflow.note.content": _note(whole.settings),
        # Always there, so that a departure that is gone does not stay in the store.
        "glassbox.departures": "\n".join(filter(None, whole.settings.departures.values())) or "none",
        **proof(made),
        **more,
    }
    new_params = [Param(key, value) for key, value in params.items() if key not in run.data.params]
    new_tags = [RunTag(key, value) for key, value in tags.items() if run.data.tags.get(key) != value]
    if new_params or new_tags:
        store.client.log_batch(run.info.run_id, params=new_params, tags=new_tags)
    return bool(new_params or new_tags)


def _note(experiment: Experiment) -> str:
    """What the UI shows above a run: what it is, what its source reports and where it departs from that."""
    published = [
        f"- {variant} {metric}: {value}"
        for variant, scores in experiment.published.scores.items()
        for metric, value in scores.items()
    ]
    lines = [f"**{experiment.title}**", "", f"Published: {experiment.published.source}", "", *published]
    if experiment.departures:
        lines += ["", "Departures:", "", *(f"- {departure}" for departure in experiment.departures.values())]
    return "\n".join(lines)


def log_folds(store: Store, run: MlflowRun, made: Mapping[str, Any], *, test: bool) -> bool | None:
    """Logs one dataset a fold, unless the run has it. Says whether any was missing.

    The test fold is among them where it was tested on. None says that one is missing in the run, and not on disk
    as the model saw it.
    """
    name, missing = made["params"]["split"], []
    held = [(entry.dataset.name, entry.dataset.digest) for entry in run.inputs.dataset_inputs]
    for fold in FOLDS if test else FOLDS[:2]:
        path = split.path(name, fold)
        there = sha256_file(path) if path.is_file() else None
        # Of a test fold only the disk says which it is: without it, the one that the run has will do.
        seen = made["data"].get(f"{fold}_sha256", there)
        if any(known == f"{name} {fold}" and (seen or digest).startswith(digest) for known, digest in held):
            continue
        if there is None or there != seen:
            return None
        try:
            missing.append(_dataset(name, fold, there))
        except ArtifactError:
            return None
    if missing:
        store.client.log_inputs(run.info.run_id, datasets=missing)
    return bool(missing)


def _dataset(name: str, fold: str, digest: str) -> DatasetInput:
    """A fold as MLflow shows it: its counts, and the digest of the table they were counted in."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    rows = split.read(name, fold)
    profile = {
        "images": len(rows),
        "patients": int(rows["patient_id"].nunique()),
        "draws_per_epoch": int(rows["draws"].sum()),
        **{f"images_{column.removeprefix(LABEL)}": int(rows[column].sum()) for column in split.labels(rows)},
    }
    types = {column: "long" if kind.kind in "iu" else "string" for column, kind in rows.dtypes.items()}
    dataset = Dataset(
        name=f"{name} {fold}",
        digest=digest[:36],  # MLflow's limit
        source_type="local",
        source=json.dumps({"uri": split.path(name, fold).as_posix()}),
        schema=json.dumps({"mlflow_colspec": [{"name": name, "type": kind} for name, kind in types.items()]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", fold)])
