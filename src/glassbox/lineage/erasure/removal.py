"""Which files at hand go, and their removal: each by itself, so that whoever was killed goes on."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from glassbox.artifacts import shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.lineage import pixels
from glassbox.lineage.digests import sums
from glassbox.lineage.erasure import ledger, mlflow_runs, reading
from glassbox.lineage.erasure.places import database_path, files
from glassbox.lineage.lock import FOLDER
from glassbox.lineage.parcel import vault
from glassbox.params.experiments import PHASES
from glassbox.shards.strip import strip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from glassbox.lineage.erasure.marks import Marks
    from glassbox.lineage.erasure.places import File
    from glassbox.lineage.erasure.recorded import Store, Stored


class Hit(NamedTuple):
    """A file that has to go."""

    file: File
    md5: str
    why: str  #: In a few words, as `reading.holds` says it.
    #: The sources of whose data it is, where it is none of this source's: it stays, and they are named.
    others: tuple[str, ...] = ()


class Wanted(NamedTuple):
    """What has to go."""

    marks: Marks
    #: MD5 of what has to go whatever it has inside: models.
    md5s: Collection[str]
    #: MD5 -> what dvc.locks on record name under it.
    on_record: Mapping[str, Stored]
    #: Stage -> the sources of its data.
    stages: Mapping[str, frozenset[str]]
    keep_models: bool

    def others(self, file: File, md5: str, by_path: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        """The sources of whose data a file is, where dvc.locks say so and this one is not among them."""
        known = self.on_record.get(md5)
        sources = known.sources if known else by_path.get(file.name, frozenset())
        return () if self.marks.source in sources or md5 in self.md5s else tuple(sorted(sources))

    def why(self, file: File, md5: str, by_path: Mapping[str, frozenset[str]]) -> str:
        """What of them a file has; nothing where it may stay."""
        if md5 in self.md5s:
            return "is a model that saw them" if md5 in self.on_record else "was removed elsewhere"
        if file.place == "work" and self._is_unfinished(file.name):
            return "is unfinished work on their images"
        if not self.marks.images:
            return ""
        known = self.on_record.get(md5)
        # What another source calls by the same ids is somebody else's, and the vault has leaves of every source.
        ids = file.place != "secrets" and not self.others(file, md5, by_path)
        return reading.holds(file.path, known.path if known else file.name, self.marks, ids=ids)

    def _is_unfinished(self, name: str) -> bool:
        """Whether a file of `work/` is of a stage that may have read their images."""
        _, stage, *rest = name.split("/")
        if stage == "set_aside" or (self.keep_models and stage in (*PHASES, "grid")):
            return False
        key = rest[0] if rest else ""
        known = self.stages.get(f"{stage}@{key.rpartition('-')[0] if stage == 'download' else key}")
        return known is None or not known or self.marks.source in known


def find(store: Store, wanted: Wanted, label: str) -> list[Hit]:
    """Every file at hand that has to go; a file under two names is read once.

    Args:
        store: Where objects lie.
        wanted: What has to go.
        label: Of the progress bar, which counts bytes.
    """
    by_path: dict[str, frozenset[str]] = {}
    for path, sources in wanted.on_record.values():
        by_path[path] = by_path.get(path, frozenset()) | sources
    every = list(files(store))
    found: list[Hit] = []
    seen: dict[tuple[int, int, bool], str] = {}
    total = sum(file.path.stat().st_size for file in every)
    with tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None, delay=1) as bar:
        for file in every:
            md5, stat = file.md5 or store.own_md5(file.path), file.path.stat()
            # By its place on the disk, not by its MD5: an object of DVC's cache may be damaged.
            key = stat.st_dev, stat.st_ino, md5 in wanted.on_record and file.place not in ("work", "secrets")
            if not (key in seen and key[-1]):
                seen[key] = wanted.why(file, md5, by_path)
            if seen[key]:
                found.append(Hit(file, md5, seen[key], wanted.others(file, md5, by_path)))
            bar.update(stat.st_size)
    return found


def entries(hits: Iterable[Hit], far: Iterable[str], wanted: Wanted, store: Store) -> dict[str, str]:
    """MD5 -> path, for the ledger: of every object that goes, and of the folders on record that one was in.

    Args:
        hits: What goes here.
        far: MD5 of what goes from remotes.
        wanted: What is on record.
        store: Where folders are listed.
    """
    gone = {md5: wanted.on_record[md5].path for md5 in far}
    for hit in hits:
        if hit.md5 in wanted.on_record:
            gone[hit.md5] = wanted.on_record[hit.md5].path
        elif hit.file.md5 or hit.file.place == "workspace":
            gone[hit.md5] = hit.file.name
    before = {*gone, *ledger.read(wanted.marks.source)}
    for md5, stored in wanted.on_record.items():
        if md5.endswith(FOLDER) and not before.isdisjoint(store.files(md5).values()):
            gone[md5] = stored.path
    return gone


def remove(hits: Iterable[Hit], removed: Mapping[str, str], store: Store, marks: Marks, note: str) -> None:
    """Removes files.

    Args:
        hits: Which.
        removed: MD5 -> path, the ledger: folders of it go from DVC's cache, too.
        store: Where objects lie.
        marks: Of whom.
        note: Which ledger, for MLflow's runs.
    """
    every = list(hits)
    tracked = [hit for hit in every if hit.file.place == "mlflow"]
    mlflow_runs.note(tracked, note)  # before the files: whoever is killed finds them, and comes by here again
    for dataset in datasets(every) if marks.images else ():
        with suppress(ArtifactError):  # of damaged shards all that was found goes
            strip(dataset, marks.images)
    for hit in every:
        if hit.file.place == "mlflow" and hit.file.path == database_path():
            mlflow_runs.remove_rows(hit.file.path, marks)
        elif hit.file.place != "secrets" and _is_there(hit):
            hit.file.path.unlink()
    vault.forget(store.root / vault.SECRETS, marks.patients, [*marks.hashes, *marks.shared])
    for md5 in removed:
        if md5.endswith(FOLDER):
            for place in store.places(md5):
                place.unlink(missing_ok=True)


def _is_there(hit: Hit) -> bool:
    """Whether a file is the one that was found: a table of a dataset is rewritten without them."""
    path = hit.file.path
    is_table = hit.file.place == "workspace" and bool(pixels.dataset(hit.file.name.rpartition("/")[0]))
    return path.is_file() and (not is_table or sums(path).md5 == hit.md5)


def datasets(hits: Iterable[Hit]) -> set[str]:
    """The datasets of the workspace whose shards or tables have to go."""
    names = (hit.file.name.rpartition("/")[0] for hit in hits if hit.file.place == "workspace")
    return {dataset for name in names if (dataset := pixels.dataset(name)) and shards.folder(dataset).is_dir()}
