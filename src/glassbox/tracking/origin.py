"""What a model is made from, as its run shows it: the recipe, the hashes of its data, its folds."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from glassbox import layout
from glassbox.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import DatasetInput
    from mlflow.entities import Run as MlflowRun
    from pandas import Series

    from glassbox.params import Experiment, Params
    from glassbox.tracking.store import Store

_FOLDS = ("train", "validation", "test")
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


def create(store: Store, params: Params, lineage: Mapping[str, Any], *, restored: bool = False) -> MlflowRun:
    """Creates the run of a lineage, with the tags by which it is found."""
    tags = {
        "glassbox.fingerprint": lineage["fingerprint"],
        "glassbox.experiment": lineage["experiment"],
        "glassbox.profile": params.profile,
        "mlflow.source.name": f"fine_tune@{lineage['experiment']}",
        "mlflow.source.type": "LOCAL",
    }
    if restored:
        tags["glassbox.restored"] = "true"
    elif commit := _git_head():
        # The commit that will hold dvc.lock is not there yet: this is its parent.
        tags["glassbox.git_parent"] = commit
    return store.client.create_run(store.experiment_id, tags=tags, run_name=run_name(lineage))


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


def log_origin(store: Store, run: MlflowRun, params: Params, lineage: Mapping[str, Any]) -> bool:
    """Logs parameters and hashes, each unless the run has it. Says whether anything was missing."""
    from mlflow.entities import Param, RunTag

    new_params = {key: value for key, value in _flat(lineage["params"]) if key not in run.data.params}
    departures = params.departures(lineage["experiment"])
    tags = {
        "mlflow.note.content": _note(params.experiments[lineage["experiment"]], departures),
        # Always there, so that a departure that is gone does not stay in the store.
        "glassbox.departures": "\n".join(departures) or "none",
        **{f"data.{key}": value for key, value in lineage["data"].items()},
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


def log_folds(store: Store, run: MlflowRun, lineage: Mapping[str, Any]) -> bool | None:
    """Logs one dataset a fold, unless the run has them. Says whether they were missing.

    Returns:
        None if they are missing and the split that the model was trained on is not on disk.
    """
    if len(run.inputs.dataset_inputs) >= len(_FOLDS):
        return False
    path = layout.split(lineage["params"]["split"]) / "split.parquet"
    if not path.is_file() or sha256_file(path) != lineage["data"]["split_sha256"]:
        return None
    store.client.log_inputs(run.info.run_id, datasets=_folds(lineage, path))
    return True


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


def _note(experiment: Experiment, departures: list[str]) -> str:
    """What the UI shows above a run: what it is, what its source reports and where it departs from that."""
    published = [
        f"- {variant} {metric}: {value}"
        for variant, scores in experiment.published.scores.items()
        for metric, value in scores.items()
    ]
    lines = [f"**{experiment.title}**", "", f"Published: {experiment.published.source}", "", *published]
    if departures:
        lines += ["", "Departures:", "", *(f"- {departure}" for departure in departures)]
    return "\n".join(lines)


def _folds(lineage: Mapping[str, Any], path: Path) -> list[DatasetInput]:
    """One dataset a fold: its counts, and the digest of the split they were counted in."""
    import pandas as pd
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name = lineage["params"]["split"]
    table = pd.read_parquet(path)
    labels = [column for column in table.columns if column.startswith("label_")]
    columns = [{"name": column, "type": _column_type(table[column])} for column in table.columns]
    inputs = []
    for fold in _FOLDS:
        rows = table[table["fold"] == fold]
        profile = {
            "images": len(rows),
            "patients": int(rows["patient_id"].nunique()),
            "draws_per_epoch": int(rows["draws"].sum()),
            **{f"images_{column.removeprefix('label_')}": int(rows[column].sum()) for column in labels},
        }
        dataset = Dataset(
            name=f"{name} {fold}",
            digest=lineage["data"]["split_sha256"][:_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": path.as_posix()}),
            schema=json.dumps({"mlflow_colspec": columns}),
            profile=json.dumps(profile),
        )
        inputs.append(DatasetInput(dataset, tags=[InputTag("mlflow.data.context", fold)]))
    return inputs


def _column_type(column: Series[Any]) -> str:
    """MLflow's word for what a column holds."""
    import pandas as pd

    return "long" if pd.api.types.is_integer_dtype(column) else "string"
