"""The trace of a patient or an image: every model on record that saw it."""

from __future__ import annotations

from contextlib import chdir
from typing import TYPE_CHECKING

from glassbox.lineage.erasure import ledger
from glassbox.lineage.lock import LineageError
from glassbox.lineage.trace import locks
from glassbox.lineage.trace.index import opened
from glassbox.lineage.trace.ledger import join
from glassbox.lineage.trace.registered import runs
from glassbox.lineage.trace.search import Search
from glassbox.lineage.trace.sighting import Trace, Unread
from glassbox.params import withdrawn
from glassbox.params.erased import among
from glassbox.tracking.store import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from glassbox.lineage.trace.index import Index
    from glassbox.lineage.trace.registered import Run

#: What --patient and --image are called in tables.
_COLUMNS = {"patient": "patient_id", "image": "image_id"}


def trace(root: Path, *, patient: str | None = None, image: str | None = None, source: str | None = None) -> Trace:
    """Every model on record that saw a patient or an image.

    On record is what the dvc.lock of the workspace, or of any commit of any branch, tag or experiment, names.

    Args:
        root: The project's folder, absolute.
        patient: Its id.
        image: Its id; one of the two is given.
        source: Look at this source alone.

    Raises:
        LineageError: Neither or both are given; no table that can be read names it; nothing is on record.
    """
    given = {name: value for name, value in (("patient", patient), ("image", image)) if value is not None}
    if len(given) != 1:
        said = "--patient and --image are both given" if given else "neither --patient nor --image is given"
        raise LineageError(said, "one of them", "name a patient, or an image")
    ((kind, value),) = given.items()
    with opened(root) as index:
        held = locks.every(root)
        on_record = join(held, index.recorded(held))
        search = Search(index, on_record, _COLUMNS[kind], value, source, erased=ledger.erased(root))
        by_model, without = _runs(index)
        sources = search.sources(by_model)
        unread = [*on_record.unread, *search.unread]
        if locks.is_shallow(root):
            found, action = "this is a shallow clone, which has not all revisions", "run `git fetch --unshallow`"
            unread.append(Unread(found=found, action=action, models=(), revisions=()))
        erased = _erased(root, search.names, value) if kind == "patient" else {}
        if not sources and not erased:
            raise search.unknown(kind, unread)
    return Trace(kind, value, sources, on_record.recorded, unread, without, search.gone, erased)


def _erased(root: Path, sources: Iterable[str], patient: str) -> dict[str, str]:
    """Source -> its ledger, of those from which a patient was erased; none without the key."""
    with chdir(root):
        return {
            source: ledger.path(source).as_posix()
            for source in sources
            if among(source, [patient], withdrawn.read(source))
        }


def _runs(index: Index) -> tuple[dict[str, tuple[Run, ...]], str]:
    """The runs of each model by its SHA-256; and why MLflow said nothing, if it did."""
    try:
        found = runs(index.folder)
    except TrackingError as error:
        return {}, error.found
    return (found.by_model, "") if found else ({}, "there is no MLflow store")
