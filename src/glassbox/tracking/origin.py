"""What a model is made from, as its run shows it: the recipe, the hashes of its data, its folds."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import split
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.split import FOLDS, LABEL
from glassbox.files import sha256_file
from glassbox.params.read import ParamsError, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import DatasetInput
    from mlflow.entities import Run as MlflowRun
    from pandas import Series

    from glassbox.artifacts.experiment import Resolved
    from glassbox.params.experiments import Experiment
    from glassbox.tracking.store import Store

#: Servers before MLflow 2.8 refuse a longer parameter.
_PARAM_LENGTH = 500
#: MLflow's limit on the digest of a dataset.
_DIGEST_LENGTH = 36


def find(store: Store, fingerprint: str, model_sha256: str | None = None) -> MlflowRun | None:
    """The run of a fingerprint, or None.

    Args:
        store: The open store.
        fingerprint: The recipe's.
        model_sha256: The trained model's, where it is known: machines differ, and one recipe may have given
            two models. Without it, an unfinished run comes before a finished one.
    """
    runs = store.client.search_runs(
        [store.experiment_id],
        f"tags.`glassbox.fingerprint` = '{fingerprint}'",
        order_by=["attributes.start_time DESC"],
    )
    by_model = {run.data.tags.get("glassbox.model_sha256"): run for run in reversed(runs)}
    if model_sha256 in by_model:
        return by_model[model_sha256]
    if model_sha256 is None and runs:
        return runs[0]
    return by_model.get(None)


def create(store: Store, lineage: Mapping[str, Any], *, restored: bool = False) -> MlflowRun:
    """Creates the run of a lineage, with the tags by which it is found."""
    tags = {
        "glassbox.fingerprint": lineage["fingerprint"],
        "glassbox.experiment": lineage["experiment"],
        "glassbox.profile": _profile(),
        "mlflow.source.name": f"fine_tune@{lineage['experiment']}",
        "mlflow.source.type": "LOCAL",
    }
    if restored:
        tags["glassbox.restored"] = "true"
    elif commit := _git_head():
        # The commit that will hold dvc.lock is not there yet: this is its parent.
        tags["glassbox.git_parent"] = commit
    return store.client.create_run(store.experiment_id, tags=tags, run_name=run_name(lineage))


def _profile() -> str:
    """The profile that params.yaml was composed from."""
    try:
        return str(values()["profile"])
    except (ParamsError, KeyError, TypeError):
        return "unknown"


def run_name(lineage: Mapping[str, Any]) -> str:
    """The experiment and its hyperparameters, which is what the table of runs shows."""
    block = lineage["params"]
    return (
        f"{lineage['experiment']} {block['model']['backbone']} "
        f"lr={block['fine_tune']['optimizer']['learning_rate']:g} batch={block['training']['batch_size']} "
        f"epochs={block['warm_start']['epochs']}+{block['fine_tune']['epochs']} weights={block['weights']}"
    )


def _git_head() -> str | None:
    try:
        return subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"], capture_output=True, check=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def log_origin(store: Store, run: MlflowRun, whole: Resolved, lineage: Mapping[str, Any]) -> bool:
    """Logs parameters and hashes, each unless the run has it. Says whether anything was missing."""
    from mlflow.entities import Param, RunTag

    new_params = {key: value for key, value in _flat(lineage["params"]) if key not in run.data.params}
    tags = {
        "mlflow.note.content": _note(whole.settings),
        # Always there, so that a departure that is gone does not stay in the store.
        "glassbox.departures": "\n".join(whole.settings.departures) or "none",
        **{f"data.{key}": value for key, value in lineage["data"].items()},
        **{f"code.{key}": value for key, value in lineage["code"].items()},
        **{f"machine.{key}": _text(value) for key, value in lineage["machine"].items()},
    }
    new_tags = {key: value for key, value in tags.items() if run.data.tags.get(key) != value}
    if new_params or new_tags:
        store.client.log_batch(
            run.info.run_id,
            params=[Param(key, value) for key, value in new_params.items()],
            tags=[RunTag(key, value) for key, value in new_tags.items()],
        )
    return bool(new_params or new_tags)


def log_folds(store: Store, run: MlflowRun, lineage: Mapping[str, Any], *, test: bool) -> bool | None:
    """Logs one dataset a fold, unless the run has it. Says whether any was missing.

    Args:
        store: The open store.
        run: The run.
        lineage: What its model is made from.
        test: Whether the test fold is among them, which a model does not see until it is evaluated.

    Returns:
        None if one is missing in the run, and not on disk as the model saw it.
    """
    name, held = lineage["params"]["split"], {_key(entry) for entry in run.inputs.dataset_inputs}
    missing = []
    for fold in FOLDS if test else FOLDS[:2]:
        path = split.path(name, fold)
        there = sha256_file(path) if path.is_file() else None
        # Of a test fold only the disk says which it is: without it, the one that the run has will do.
        seen = lineage["data"].get(f"{fold}_sha256", there)
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


def _key(entry: DatasetInput) -> tuple[str, str]:
    return entry.dataset.name, entry.dataset.digest


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, _text(value)


def _text(value: Any) -> str:
    """A value as params.yaml would write it, within the length that every server takes."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _PARAM_LENGTH else f"{text[: _PARAM_LENGTH - 1]}…"


def _note(experiment: Experiment) -> str:
    """What the UI shows above a run: what it is, what its source reports and where it departs from that."""
    published = [
        f"- {variant} {metric}: {value}"
        for variant, scores in experiment.published.scores.items()
        for metric, value in scores.items()
    ]
    lines = [f"**{experiment.title}**", "", f"Published: {experiment.published.source}", "", *published]
    if experiment.departures:
        lines += ["", "Departures:", "", *(f"- {departure}" for departure in experiment.departures)]
    return "\n".join(lines)


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
    columns = [{"name": column, "type": _column_type(rows[column])} for column in rows.columns]
    dataset = Dataset(
        name=f"{name} {fold}",
        digest=digest[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": split.path(name, fold).as_posix()}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", fold)])


def _column_type(column: Series[Any]) -> str:
    """MLflow's word for what a column holds."""
    import pandas as pd

    return "long" if pd.api.types.is_integer_dtype(column) else "string"
