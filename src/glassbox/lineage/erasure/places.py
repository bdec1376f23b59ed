"""Every file at hand that may hold patients: DVC's cache, what stages wrote, MLflow's files, the secrets."""

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

#: In work/: what an erasure itself keeps until it is done, and locks, which have no content.
JOURNALS = WORK / "erasure"
_SPARED = (JOURNALS, WORK / "locks")
#: In .dvc/tmp are the workspaces of queued and temporary experiments.
_FOLDERS = {
    "workspace": (DATA, MODELS, PREDICTIONS, METRICS, REPORTS),
    "work": (WORK,),
    "experiments": (Path(".dvc/tmp"),),
    "secrets": (vault.SECRETS,),
}


class File(NamedTuple):
    """A file at hand."""

    place: str  #: `cache`, `workspace`, `work`, `experiments`, `mlflow` or `secrets`.
    path: Path  #: Where it lies.
    name: str  #: Of an object its MD5, else its path from the project's root.
    md5: str = ""  #: By its name in DVC's cache; empty elsewhere.


def files(store: Store) -> Iterator[File]:
    """Every file, place by place."""
    root = store.root
    yield from _cached(Path(store.repo.cache.local_cache_dir))
    for place, folders in _FOLDERS.items():
        for path in (path for folder in folders for path in _walk(root / folder)):
            name = path.relative_to(root)
            if not any(name.is_relative_to(spared) for spared in _SPARED):
                yield File(place, path, name.as_posix())
    for folder in artifacts(root):
        for path in _walk(folder):
            yield File("mlflow", path, path.relative_to(folder).as_posix())
    if (database := database_path()) is not None:
        yield File("mlflow", database, database.name)


def _cached(cache: Path) -> Iterator[File]:
    """Objects, by whatever version of DVC, and what it notes of the runs of stages."""
    for path in _walk(cache):
        *folders, name = path.relative_to(cache).parts
        is_object = bool(folders) and len(folders[-1]) == 2 and folders[0] != "runs"
        md5 = folders[-1] + name if is_object else ""
        yield File("cache", path, md5 or "/".join([*folders, name]), md5)


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
