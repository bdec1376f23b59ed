"""Every file at hand that may hold patients: DVC's cache, what its stages wrote, MLflow's files, and the secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlparse

from glassbox.lineage.parcel import vault
from glassbox.paths import DATA, METRICS, MODELS, PREDICTIONS, REPORTS, WORK
from glassbox.tracking.store import existing, tracking_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glassbox.lineage.erasure.recorded import Store

#: What stages write.
_OUTPUTS = (DATA, MODELS, PREDICTIONS, METRICS, REPORTS)
#: In work/: what an erasure itself keeps until it is done, and locks, which have no content.
JOURNALS = WORK / "erasure"
_SPARED = (JOURNALS, WORK / "locks")
#: DVC's own folder for what it has begun: workspaces of queued and temporary experiments lie there.
_TEMPORARY = Path(".dvc/tmp")


class File(NamedTuple):
    """A file at hand."""

    place: str  #: `cache`, `workspace`, `work`, `experiments`, `mlflow` or `secrets`.
    path: Path  #: Where it lies.
    name: str  #: Of an object its MD5, else its path from the project's root.
    md5: str = ""  #: By its name in DVC's cache; empty elsewhere.


def files(store: Store) -> Iterator[File]:
    """Every file, place by place."""
    root = store.root
    cache = Path(store.repo.cache.local_cache_dir)
    for path in _walk(cache):
        parts = path.relative_to(cache).parts
        if path.suffix in (".tmp", ".unpacked"):
            continue
        is_object = len(parts) >= 2 and len(parts[-2]) == 2 and "runs" not in parts
        md5 = parts[-2] + parts[-1] if is_object else ""
        yield File("cache", path, md5 or "/".join(parts), md5)
    for place, folders in (("workspace", _OUTPUTS), ("experiments", (_TEMPORARY,)), ("secrets", (vault.SECRETS,))):
        for folder in folders:
            for path in _walk(root / folder):
                yield File(place, path, path.relative_to(root).as_posix())
    for path in _walk(root / WORK):
        name = path.relative_to(root)
        if not any(name.is_relative_to(spared) for spared in _SPARED):
            yield File("work", path, name.as_posix())
    for folder in artifacts(root):
        for path in _walk(folder):
            yield File("mlflow", path, path.relative_to(folder).as_posix())
    if (database := database_path()) is not None:
        yield File("mlflow", database, database.name)


def artifacts(root: Path) -> list[Path]:
    """The folders in which MLflow's runs keep files, of those that are folders of this machine."""
    found = [root / "mlartifacts"]
    store = existing()
    if store is not None:
        place = urlparse(store.client.get_experiment(store.experiment_id).artifact_location)
        if place.scheme in ("", "file"):
            found.append(Path(unquote(place.path)))
    return list(dict.fromkeys(path.resolve() for path in found if path.is_dir()))


def database_path() -> Path | None:
    """MLflow's database where it is a file of this machine."""
    uri = tracking_uri()
    path = Path(uri.removeprefix("sqlite:///"))
    return path if uri != str(path) and path.is_file() else None


def is_elsewhere() -> bool:
    """Whether MLflow's store is a server's, whose files lie where only the server reaches them."""
    return tracking_uri().partition(":")[0].startswith("http")


def _walk(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(at) / name
            if path.is_file():
                yield path
