"""The search for a patient or an image in all that is on record."""

from __future__ import annotations

import difflib
import heapq
from collections import defaultdict
from operator import eq
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from glassbox.lineage.lock import LineageError
from glassbox.lineage.trace.exposure import Showing
from glassbox.lineage.trace.records import Fold
from glassbox.lineage.trace.sighting import Gone, OfGrid, Sighting, Traced, Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from glassbox.lineage.trace.index import Index, Trained
    from glassbox.lineage.trace.ledger import Known, Ledger
    from glassbox.lineage.trace.records import Grid, Images
    from glassbox.lineage.trace.registered import Run

#: Image -> where it stands in a table.
Places = dict[str, int]
#: How many ids a message names, and how many it chooses them from.
_NAMED, _COMPARED = 3, 500
#: How alike two names are, from 0 to 1, if one may stand for the other.
_ALIKE = 0.6


class Search:
    """Who saw what one column of every table calls by one name.

    Args:
        index: Where tables are read.
        ledger: What is on record.
        column: `patient_id` or `image_id`.
        value: The name.
        source: Look at this source alone.
        erased: MD5 of what was removed for patients who were erased -> the ledger that says so.

    Raises:
        LineageError: Nothing on record is of this source.
    """

    def __init__(
        self,
        index: Index,
        ledger: Ledger,
        column: str,
        value: str,
        source: str | None,
        *,
        erased: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self._index, self._column, self._value = index, column, value
        # By the MD5 of a table; or why it cannot be read.
        self._places: dict[str, Places | LineageError] = {}
        self._shown: dict[tuple[str, Showing], dict[str, dict[str, int]]] = {}
        self._unread: dict[str, Unread] = {}  # by what was found
        self._erased, self._gone = erased, dict[str, Gone]()  # the latter by the ledger
        every = sorted({table.source for table in (*ledger.catalogs, *map(_train, ledger.models))})
        if source is not None and source not in every:
            raise LineageError(
                f"no source {source!r} is on record", f"one of: {', '.join(every)}", "name one of them"
            )
        self.names = every if source is None else [source]
        self._models = [known for known in ledger.models if _train(known).source in self.names]
        self._catalogs = [table for table in ledger.catalogs if table.source in self.names]

    @property
    def unread(self) -> list[Unread]:
        """What could not be read so far."""
        return list(self._unread.values())

    @property
    def gone(self) -> list[Gone]:
        """The tables that an erasure removed, as far as models saw them, one entry a ledger."""
        return list(self._gone.values())

    def sources(self, runs: Mapping[str, tuple[Run, ...]]) -> list[Traced]:
        """What is known of it in each source that knows it.

        Args:
            runs: SHA-256 of a model -> its runs.
        """
        named: defaultdict[str, set[str]] = defaultdict(set)
        models: defaultdict[str, list[Sighting]] = defaultdict(list)
        for known in self._models:
            source = _train(known).source
            for fold in _folds(known):
                named[source] |= self._found(fold, known).keys()
            if sighting := self._sighting(known, runs):
                models[source].append(sighting)
        for table in self._catalogs:
            named[table.source] |= self._found(table, None).keys()
        return [
            Traced(source=source, images=tuple(sorted(named[source])), models=tuple(models[source]))
            for source in self.names
            if named[source]
        ]

    def unknown(self, kind: str, unread: Sequence[Unread]) -> LineageError:
        """The refusal of a name that no table has."""
        known: set[str] = set()
        for table in {table.md5: table for table in self._tables()}.values():
            if not isinstance(self._places[table.md5], LineageError):
                known.update(self._index.images(table, [self._column], "")[self._column].to_pylist())
        among = f" of source {self.names[0]}" if len(self.names) == 1 else ""
        more = f", and {len(unread) - 1} more" if len(unread) > 1 else ""
        lost = f"; not all could be read: {unread[0].found}{more}" if unread else ""
        lost += "".join(f"; tables of {len(one.models):,} models were erased ({one.ledger})" for one in self.gone)
        close = nearest(self._value, known)
        return LineageError(
            f"no catalog and no fold on record names {kind} {self._value!r}{among}{lost}",
            f"one of {len(known):,} ids{', the nearest: ' + ', '.join(close) if close else ''}",
            "name one of them" if not unread else f"{unread[0].action}; or name one of them",
        )

    def _tables(self) -> Iterable[Images]:
        yield from self._catalogs
        for known in self._models:
            yield from _folds(known)

    def _found(self, table: Images, known: Known | None) -> Places:
        """Where a table names it; nothing where it cannot be read, which is noted where a model saw that table."""
        if table.md5 not in self._places:
            self._places[table.md5] = self._look(table, known)
        found = self._places[table.md5]
        if not isinstance(found, LineageError):
            return found
        if known is not None and table.md5 in self._erased:
            self._note_gone(self._erased[table.md5].as_posix(), known)
        elif known is not None:
            self._note(found, known)
        return {}

    def _look(self, table: Images, known: Known | None) -> Places | LineageError:
        action = known.action(table.path, f"split@{table.split}") if known and isinstance(table, Fold) else ""
        try:
            names = self._index.images(table, [self._column], action)[self._column]
            # Arrow's own search for what is not zero crashes on a table without rows.
            at = np.flatnonzero(pc.equal(names, self._value))
            if not len(at):  # most tables do not name it, and reading a column of names is what takes time
                return {}
            images = self._index.images(table, ["image_id"], action)["image_id"].take(at)
        except LineageError as error:
            return error
        return dict(zip(images.to_pylist(), at.tolist(), strict=True))

    def _note_gone(self, ledger: str, known: Known) -> None:
        before = self._gone.get(ledger) or Gone(ledger=ledger, models=(), revisions=())
        models = dict.fromkeys([*before.models, known.name])
        revisions = dict.fromkeys([*before.revisions, *known.revisions.commits])
        self._gone[ledger] = Gone(ledger=ledger, models=tuple(models), revisions=tuple(revisions))

    def _note(self, error: LineageError, known: Known) -> None:
        before = self._unread.get(error.found)
        models = dict.fromkeys([*(before.models if before else ()), known.name])
        revisions = dict.fromkeys([*(before.revisions if before else ()), *known.revisions.commits])
        action = before.action if before else error.action
        self._unread[error.found] = Unread(
            found=error.found, action=action, models=tuple(models), revisions=tuple(revisions)
        )

    def _sighting(self, known: Known, runs: Mapping[str, tuple[Run, ...]]) -> Sighting | None:
        """How a model saw it; None where, by all that can be read, it did not."""
        training = known.training
        train, validation = self._found(training.train, known), self._found(training.validation, known)
        test = {image for fold in known.tests for image in self._found(fold, known)}
        grids = [grid for grid in (self._of_grid(grid, known) for grid in known.grids) if grid]
        if not (train or validation or test or grids):
            return None
        trained = self._trained(known)
        shown = None
        if trained is not None:
            shown = self._exposures(training.train, trained.showing, known)
        return Sighting(
            experiment=training.experiment,
            phase=training.phase,
            split=training.train.split,
            model_md5=training.file.md5,
            model_sha256=trained.model_sha256 if trained else None,
            revisions=known.revisions.commits,
            dvc_experiments=known.revisions.experiments,
            train=tuple(sorted(train)),
            shown=shown,
            validation=tuple(sorted(validation)),
            grids=tuple(grids),
            test=tuple(sorted(test)),
            runs=runs.get(trained.model_sha256, ()) if trained else (),
        )

    def _trained(self, known: Known) -> Trained | None:
        """What the record of a model says: any of them, since they are of the same bytes."""
        errors = []
        for training in known.trainings:
            try:
                return self._index.trained(training, known.action(training.lineage.path, training.stage))
            except LineageError as error:
                errors.append(error)
        self._note(errors[0], known)
        return None

    def _exposures(self, fold: Fold, showing: Showing, known: Known) -> dict[str, dict[str, int]]:
        """Image -> phase -> how often it was shown."""
        places = self._found(fold, known)
        if not places:
            return {}
        key = fold.md5, showing
        if key not in self._shown:
            counts = self._index.exposures(fold, showing, known.action(fold.path, f"split@{fold.split}"))
            self._shown[key] = {
                image: {phase: int(shown[at]) for phase, shown in counts.items()} for image, at in places.items()
            }
        return self._shown[key]

    def _of_grid(self, grid: Grid, known: Known) -> OfGrid | None:
        train, validation = self._found(grid.train, known), self._found(grid.validation, known)
        if not (train or validation):
            return None
        total, trained = dict.fromkeys(train, 0), 0
        for images in grid.images if train else ():
            counts = self._exposures(grid.train, Showing.of_cells(grid, images), known)
            for image, phases in counts.items():
                total[image] += grid.cells_each * sum(phases.values())
            trained += grid.cells_each * any(sum(phases.values()) for phases in counts.values())
        return OfGrid(
            grid=grid.name,
            cells=grid.cells_each * len(grid.images),
            trained=trained,
            shown=total,
            validation=tuple(sorted(validation)),
        )


def _train(known: Known) -> Fold:
    return known.training.train


def _folds(known: Known) -> Iterable[Fold]:
    """All folds that a model saw."""
    yield from (known.training.train, known.training.validation, *known.tests)
    for grid in known.grids:
        yield from (grid.train, grid.validation)


def nearest(value: str, ids: Iterable[str]) -> list[str]:
    """Up to three ids that somebody may have meant, the likeliest first."""
    every = sorted(ids)
    # Without the zeros before a number, or without the end of a file's name.
    bare = [one for one in every if value.lstrip("0") in (one.lstrip("0"), one.partition(".")[0].lstrip("0"))]
    # Comparing a hundred thousand in earnest takes seconds.
    close = heapq.nlargest(_COMPARED, every, key=lambda one: sum(_equal(value, one)))
    ratios = {one: difflib.SequenceMatcher(None, value, one).ratio() for one in close}
    likely = sorted(close, key=lambda one: (ratios[one], _equal(value, one)), reverse=True)
    return list(dict.fromkeys([*bare, *(one for one in likely if ratios[one] > _ALIKE)]))[:_NAMED]


def _equal(one: str, other: str) -> tuple[int, int]:
    """How many characters of two names are the same at the same place: from the beginning, and from the end."""
    return [*map(eq, one, other)].count(True), [*map(eq, reversed(one), reversed(other))].count(True)
