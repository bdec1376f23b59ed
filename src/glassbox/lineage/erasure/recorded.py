"""What every revision on record made of a source: its objects by their MD5, and who saw some patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.lineage.digests import sums
from glassbox.lineage.lock import FOLDER, LineageError, parse
from glassbox.lineage.remotes import named, reached
from glassbox.lineage.revision import Revision, folder_files
from glassbox.lineage.trace import locks
from glassbox.lineage.trace.index import opened
from glassbox.lineage.trace.ledger import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from glassbox.lineage.lock import Lock
    from glassbox.lineage.trace.index import Index
    from glassbox.lineage.trace.records import Images

#: Where data come from: what a stage rests on that has none of these is of no source.
_ORIGINS = ("download", "catalog")


class Stored(NamedTuple):
    """An object on record."""

    path: str  #: As dvc.lock names it, or, of a file in a folder, that and its name.
    sources: frozenset[str]  #: Of whose data it was made.


class Store:
    """Where objects lie: DVC's cache, the workspace, or remotes.

    Args:
        root: The project's folder, absolute.
        names: Of the remotes that are looked at, too.

    Raises:
        LineageError: The folder holds no DVC project, there is no such remote, or it cannot be used.
    """

    def __init__(self, root: Path, names: Sequence[str] = ()) -> None:
        self.root, self.repo = root, Revision(root, None).repo
        self.remotes = {remote.name: remote.odb for remote in named(self.repo, names)}
        self._own: dict[str, str] = {}

    def cached(self, md5: str) -> Path:
        """Where DVC's cache has an object, or would have it."""
        return Path(self.repo.cache.local.oid_to_path(md5))

    def places(self, md5: str) -> list[Path]:
        """Where DVC's cache may have an object: some lists of folders lie where DVC 2 had them."""
        return [self.cached(md5), Path(self.repo.cache.legacy.oid_to_path(md5))]

    def at(self, md5: str, path: str) -> Path | None:
        """Where an object lies that is at hand, whatever its bytes are; None where it is not."""
        if (cached := self.cached(md5)).is_file():
            return cached
        own = self.root / path
        return own if own.is_file() and self.own_md5(own) == md5 else None

    def own_md5(self, path: Path) -> str:
        """The MD5 of a file of the workspace, which is read once."""
        key = str(path)
        if key not in self._own:
            self._own[key] = sums(path).md5
        return self._own[key]

    def forget(self) -> None:
        """Forgets what files of the workspace were: they may be others by now."""
        self._own.clear()

    def files(self, md5: str) -> dict[str, str]:
        """Name -> MD5 of what a folder on record holds; nothing where its list is not at hand."""
        try:
            content = self.cached(md5).read_bytes()
        except OSError:
            content = self._far(md5)
        return folder_files(content)

    def _far(self, md5: str) -> bytes:
        """The list of a folder that only a remote has; nothing where none has it."""
        for name, odb in self.remotes.items():
            with reached(name):
                if odb.exists(md5):
                    return bytes(odb.fs.cat_file(odb.oid_to_path(md5)))
        return b""


def lock_files(root: Path) -> Iterator[Lock]:
    """Every dvc.lock on record that can be read."""
    held = locks.every(root)
    for blob, content in locks.read(root, list(held)):
        try:
            yield parse(content, f"git's object {blob[:10]}")
        except LineageError:
            continue


def objects(every: Iterable[Lock], store: Store) -> dict[str, Stored]:
    """MD5 -> what every dvc.lock on record names under it, and what folders on record hold."""
    found: dict[str, Stored] = {}

    def note(md5: str, path: str, sources: frozenset[str]) -> None:
        before = found.get(md5)
        found[md5] = Stored(path, sources | before.sources if before else sources)

    for lock in every:
        for stage, entry in lock.stages.items():
            sources = _sources(lock, stage)
            for out in entry.outs:
                note(out.md5, out.path, sources)
                if out.md5.endswith(FOLDER):
                    for name, md5 in store.files(out.md5).items():
                        note(md5, f"{out.path}/{name}", sources)
    return found


def stage_sources(every: Iterable[Lock]) -> dict[str, frozenset[str]]:
    """Stage -> the sources of the data that it read, of any revision."""
    found: dict[str, frozenset[str]] = {}
    for lock in every:
        for stage in lock.stages:
            found[stage] = found.get(stage, frozenset()) | _sources(lock, stage)
    return found


def _sources(lock: Lock, stage: str) -> frozenset[str]:
    """The sources of the data that a stage read."""
    try:
        named = (one.partition("@") for one in lock.chain(stage))
        return frozenset(key for kind, _, key in named if kind in _ORIGINS)
    except LineageError:
        return frozenset()


class Saw(NamedTuple):
    """What the tables on record say of some patients of a source."""

    #: Patient -> their images.
    images: dict[str, set[str]]
    #: MD5 of each model that was trained on them or selected by them -> the stage that made it.
    models: dict[str, str]
    #: What cannot be read, and so may name more images and models.
    unread: list[str]


def saw(root: Path, source: str, patients: Iterable[str], gone: Mapping[str, object]) -> Saw:
    """Who saw some patients of a source, of all revisions.

    Args:
        root: The project's folder.
        source: Key of the source.
        patients: Their ids.
        gone: MD5 of tables that an erasure removed: that they cannot be read is as it should be.
    """
    wanted, found = set(patients), Saw({}, {}, [])
    with opened(root) as index:
        held = locks.every(root)
        recorded = index.recorded(held)
        found.unread.extend(one.found for one in join(held, recorded).unread)
        tables = _Tables(index, wanted, gone, found)
        for one in recorded.values():
            for table in one.catalogs:
                if table.source == source:
                    tables.names(table)
            for test in one.tests:
                if test.fold.source == source:
                    tables.names(test.fold)
        grids = {grid.md5: grid for one in recorded.values() for grid in one.grids}
        choices = {choice: cells for one in recorded.values() for choice, cells in one.choices.items()}
        for one in recorded.values():
            for model in one.models:
                if model.train.source != source:
                    continue
                grid = grids.get(choices.get(model.choice, model.choice))
                folds = [model.train, model.validation, *([grid.train, grid.validation] if grid else [])]
                # Each is looked at: the images of all of them count.
                if sum(map(tables.names, folds)):
                    found.models[model.file.md5] = model.stage
    return found


class _Tables:
    """Tables of images, each read once."""

    def __init__(self, index: Index, wanted: set[str], gone: Mapping[str, object], found: Saw) -> None:
        self._index, self._wanted, self._gone, self._found = index, wanted, gone, found
        self._names: dict[str, bool] = {}

    def names(self, table: Images) -> bool:
        """Whether it names one of the patients, whose images are noted."""
        if table.md5 not in self._names:
            self._names[table.md5] = self._look(table)
        return self._names[table.md5]

    def _look(self, table: Images) -> bool:
        try:
            rows = self._index.images(table, ["image_id", "patient_id"], "look at the revisions that have it")
        except LineageError as error:
            if table.md5 not in self._gone:
                self._found.unread.append(error.found)
            return False
        pairs = zip(rows["image_id"].to_pylist(), rows["patient_id"].to_pylist(), strict=True)
        theirs = [(image, patient) for image, patient in pairs if patient in self._wanted]
        for image, patient in theirs:
            self._found.images.setdefault(patient, set()).add(image)
        return bool(theirs)
