"""Which runs of MLflow are of which model, and the names under which it is registered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.files import fingerprint
from glassbox.lineage.trace.index import keep, kept
from glassbox.params.base import Frozen
from glassbox.tracking.model import SHA256_TAG
from glassbox.tracking.store import existing, refusing, tracking_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from glassbox.tracking.store import Store

#: Where SQLite says in a file how often the file was changed.
_COUNTER = slice(24, 28)


class Run(Frozen):
    """A run of a model."""

    run_id: str
    #: `models:/name@alias`, or `models:/name/version` where that version has no alias.
    names: tuple[str, ...]


class Runs(Frozen):
    """All runs of a store that are of a model."""

    #: SHA-256 of a model -> its runs.
    by_model: dict[str, tuple[Run, ...]]


def runs(folder: Path) -> Runs | None:
    """All runs of the store; None where there is no store.

    MLflow takes seconds to import and to open a database: what it said of one is kept until that is changed.

    Args:
        folder: Where it is kept.

    Raises:
        TrackingError: The store cannot be reached or read.
    """
    state, at = _state(tracking_uri()), folder / "mlflow.json"
    found = kept(at, Runs).get(state) if state else None
    if found is None:
        store = existing()
        if store is None:
            return None
        with refusing():
            found = _asked(store)
        if state:
            keep(at, {state: found})
    return found


def _state(uri: str) -> str:
    """A digest that is another one when a database of SQLite was changed; empty for another kind of store."""
    path = Path(uri.removeprefix("sqlite:///"))
    if path == Path(uri) or not path.is_file():
        return ""
    with path.open("rb") as file:
        counter = file.read(_COUNTER.stop)[_COUNTER].hex()
    # What was written last may lie beside it.
    stats = [one.stat() for one in (path, path.with_name(f"{path.name}-wal")) if one.is_file()]
    return fingerprint([str(path), counter, *((stat.st_size, stat.st_mtime_ns) for stat in stats)])


def _asked(store: Store) -> Runs:
    client = store.client
    aliases: dict[tuple[str, str], list[str]] = {}
    for model in _pages(client.search_registered_models):
        for alias, number in sorted(model.aliases.items()):
            aliases.setdefault((model.name, str(number)), []).append(f"models:/{model.name}@{alias}")
    names: dict[str, list[str]] = {}
    for version in _pages(client.search_model_versions):
        # Their own list of aliases is empty here.
        named = aliases.get((version.name, str(version.version)), [])
        names.setdefault(version.run_id, []).extend(named or [f"models:/{version.name}/{version.version}"])
    by_model: dict[str, list[Run]] = {}
    for run in _pages(lambda **page: client.search_runs([store.experiment_id], **page)):
        if sha256 := run.data.tags.get(SHA256_TAG):
            found = Run(run_id=run.info.run_id, names=tuple(names.get(run.info.run_id, ())))
            by_model.setdefault(sha256, []).append(found)
    return Runs(by_model={sha256: tuple(found) for sha256, found in by_model.items()})


def _pages(search: Callable[..., Any]) -> Iterator[Any]:
    """Everything that a search of MLflow's finds."""
    page = search()
    yield from page
    while page.token:
        page = search(page_token=page.token)
        yield from page
