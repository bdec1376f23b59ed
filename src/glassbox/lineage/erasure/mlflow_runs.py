"""MLflow after an erasure: a run stays, with its scores, and says what was taken from it; its versions go."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from glassbox.lineage.erasure.reading import rows_in
from glassbox.lineage.trace.records import MODEL
from glassbox.tracking.model import ERASED_TAG
from glassbox.tracking.store import existing, refusing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from glassbox.lineage.erasure.marks import Marks
    from glassbox.lineage.erasure.removal import Hit

#: Where MLflow keeps models that were logged by themselves, beside the runs.
_MODELS = "models"
#: Tables of which a row may go: each is a key and a value of something that stays.
_PAIRS = ("tags", "params", "experiment_tags", "logged_model_tags", "logged_model_params", "input_tags")
_PAIRS_OF_REGISTRY = ("registered_model_tags", "model_version_tags", "trace_tags")


def note(hits: Iterable[Hit], ledger: str) -> None:
    """Tags the runs whose files are about to go, and deletes the versions of models that go, and their aliases."""
    store = existing()
    of_run: dict[str, set[str]] = {}
    if store is None:
        return
    with refusing():
        for hit in hits:
            owner, _, rest = hit.file.name.partition("/artifacts/")
            if not rest:
                continue
            kind, _, model_id = owner.rpartition("/")
            run_id = owner if kind != _MODELS else _source(store.client, model_id, ledger)
            name = rest if kind != _MODELS else rest.rpartition("/")[2]
            if run_id:
                of_run.setdefault(run_id, set()).add(name)
        for run_id, names in sorted(of_run.items()):
            _tag(store.client, run_id, names, ledger)


def _source(client: Any, model_id: str, ledger: str) -> str:
    """The run of one of MLflow's models, which is tagged."""
    client.set_logged_model_tags(model_id, {ERASED_TAG: ledger})
    return str(client.get_logged_model(model_id).source_run_id)


def _tag(client: Any, run_id: str, names: set[str], ledger: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        before = client.get_run(run_id).data.tags.get(ERASED_TAG, "")
    except MlflowException:  # its files outlived it
        return
    known = {name for name in before.partition(" (")[0].split(", ") if name}
    client.set_tag(run_id, ERASED_TAG, f"{', '.join(sorted(known | names))} ({ledger})")
    if any(name.endswith(MODEL) for name in names):
        for version in client.search_model_versions(f"run_id = '{run_id}'"):
            client.delete_model_version(version.name, version.version)


def remove_rows(path: Path, marks: Marks) -> None:
    """Removes what tags and parameters of runs say of patients; the file keeps no copy of it."""
    found = [(table, row) for table, row in rows_in(path, marks) if table in (*_PAIRS, *_PAIRS_OF_REGISTRY)]
    if not found:
        return
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA secure_delete = ON")
        with store:
            for table, row in found:
                store.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (row,))  # noqa: S608 (a name of ours)
        store.execute("VACUUM")
