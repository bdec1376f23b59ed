"""What a trace read once, kept below `work/trace/` by digests of what it was read from, and made anew if lost.

Nothing here decides whether a file is what it should be; a fold that is only here still says who was in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, chdir, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from glassbox import keyed
from glassbox.artifacts import document, model, split, table
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import fingerprint, locked, sha256_file
from glassbox.lineage.lock import LineageError
from glassbox.lineage.trace import exposure, locks, records
from glassbox.lineage.trace.exposure import Showing
from glassbox.lineage.trace.objects import Objects
from glassbox.lineage.trace.records import Fold, Recorded
from glassbox.params.base import Frozen, Sha256
from glassbox.paths import WORK
from glassbox.training import order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from glassbox.lineage.trace.locks import Revisions
    from glassbox.lineage.trace.records import Images, Model

F = TypeVar("F", bound=Frozen)
#: A table of images; `draws` is 0 in a catalog.
IMAGES = pa.schema([("image_id", pa.string()), ("patient_id", pa.string()), ("draws", pa.int32())])
_STAGE = "trace"


class Trained(Frozen):
    """What the record and the history of a training say."""

    model_sha256: Sha256
    showing: Showing


class Index:
    """What was read of a project. `opened` makes one.

    Args:
        root: The project's folder.
        folder: Where it is kept.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        self._root, self._objects = root, Objects(root)
        self._recorded = kept(folder / "recorded.json", Recorded)
        self._trained = kept(folder / "trained.json", Trained)
        self._known = len(self._trained)

    def recorded(self, held: Mapping[str, Revisions]) -> dict[str, Recorded]:
        """What each dvc.lock says of models, by its id."""
        new = [blob for blob in held if blob not in self._recorded]
        for blob, content in locks.read(self._root, new) if new else ():
            self._recorded[blob] = records.recorded(content, f"git's object {blob[:10]}")
        if new or len(self._recorded) > len(held):
            self._recorded = {blob: self._recorded[blob] for blob in held}
            keep(self.folder / "recorded.json", self._recorded)
        return self._recorded

    def trained(self, training: Model, action: str) -> Trained:
        """What the record and the history of a training say.

        Raises:
            LineageError: One of them has no copy, or is of another version; `action` is what to do then.
        """
        key = training.lineage.md5
        if key not in self._trained:
            with self._placed(action, training.lineage, training.history):
                lineage = model.read_lineage(training.experiment, training.phase)
                epochs = model.read_history(lineage, training.phase)
                try:
                    showing = Showing.of(lineage, epochs)
                except (KeyError, ValueError) as error:
                    at = training.lineage.path
                    found = f"{at} (md5 {key}) is of another version: {' '.join(str(error).split())}"
                    raise LineageError(found, "a record that this version reads", action) from None
            self._trained[key] = Trained(model_sha256=lineage.model_sha256, showing=showing)
        return self._trained[key]

    def images(self, of: Images, columns: list[str], action: str) -> pa.Table:
        """Columns of `IMAGES` of a catalog or of a fold.

        Raises:
            LineageError: It has no copy, or is of another version; `action` is what to do then.
        """
        path = self.folder / "images" / f"{of.md5}.parquet"
        try:
            return table.read(path, _STAGE, IMAGES, columns).rows
        except ArtifactError:
            pass
        with self._placed(action, of):
            rows = _read(of)
        table.write(path, rows, _STAGE)
        return rows.select(columns)

    def exposures(self, fold: Fold, showing: Showing, action: str) -> dict[str, NDArray[np.int64]]:
        """Phase -> how often each image of a training fold was shown; int64 (N,).

        Raises: as `images`.
        """
        made_from = {"fold": fold.md5, **showing.model_dump(mode="json")}
        path = self.folder / "shown" / f"{fingerprint(made_from)}.parquet"
        try:
            rows, _ = table.read(path, _STAGE)
        except ArtifactError:
            images = self.images(fold, ["image_id", "draws"], action)
            shown = exposure.exposures(showing, images["image_id"].to_pylist(), images["draws"].to_numpy())
            rows = pa.table(shown)
            table.write(path, rows, _STAGE)
        return {phase: rows[phase].to_numpy() for phase, _ in showing.stretches}

    def close(self) -> None:
        """Writes down what was read of trainings."""
        if len(self._trained) > self._known:
            keep(self.folder / "trained.json", self._trained)

    @contextmanager
    def _placed(self, action: str, *files: records.File) -> Iterator[None]:
        """Works in a folder where some files lie at their paths; refusals say what to do."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary).resolve()
            for file in files:
                self._objects.place(file, folder, action)
            try:
                with chdir(folder):
                    yield
            except ArtifactError as error:
                md5 = ", ".join(file.md5 for file in files)
                raise LineageError(f"{error.found} (md5 {md5})", error.expected, action) from None


@contextmanager
def opened(root: Path) -> Iterator[Index]:
    """The index of a project, which one process at a time works with.

    What other code made is thrown away: it may have read the same bytes in another way. In a project that cannot
    be written everything is read anew, and nothing is kept.
    """
    modules = (__file__, records.__file__, exposure.__file__, order.__file__, keyed.__file__)
    made_by = fingerprint([sha256_file(Path(module)) for module in modules])[:16]
    with _folder(root) as at:
        for other in at.glob("*"):
            if other.name != made_by:
                shutil.rmtree(other, ignore_errors=True)
        with closing(Index(root, at / made_by)) as index:
            yield index


@contextmanager
def _folder(root: Path) -> Iterator[Path]:
    """Where what is read is kept; a temporary folder where that cannot be written."""
    at = root / WORK / "trace"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(root / WORK / "locks" / "trace.lock", "glassbox trace"))
            at.mkdir(parents=True, exist_ok=True)
            is_ours = os.access(at, os.W_OK)
        except OSError:
            is_ours = False
        yield at if is_ours else Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _read(of: Images) -> pa.Table:
    """The rows of a fold or a catalog that lies in the current folder."""
    if isinstance(of, Fold):
        frame = split.read(of.split, of.name)
    else:
        from glassbox.artifacts import catalog

        frame, _ = catalog.read(of.source, ["image_id", "patient_id"])
        frame = frame.assign(draws=np.int32(0))
    return pa.Table.from_pandas(frame[IMAGES.names], IMAGES, preserve_index=False)


def kept(path: Path, kind: type[F]) -> dict[str, F]:
    """What `keep` wrote; nothing where it is lost or damaged."""
    try:
        return document.read_typed(path, _STAGE, dict[str, kind], "kept")  # type: ignore[valid-type]
    except ArtifactError:
        return {}


def keep(path: Path, values: Mapping[str, Frozen]) -> None:
    """Writes values by their keys."""
    document.write(path, {"kept": {key: value.model_dump(mode="json") for key, value in values.items()}}, _STAGE)
