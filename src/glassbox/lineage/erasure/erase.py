"""The erasure of patients of a source: a new archive without them, and the removal of all else that holds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.files import locked
from glassbox.lineage.erasure import following, gathering, journal, ledger, recorded, remotes, removal, scan
from glassbox.lineage.erasure.journal import Journal
from glassbox.lineage.erasure.ledger import ErasureError
from glassbox.lineage.erasure.recorded import Store
from glassbox.lineage.erasure.removal import Wanted
from glassbox.lineage.erasure.verdict import made_without
from glassbox.lineage.withdrawal.replace import refuse, replace, seal
from glassbox.lineage.withdrawal.withdraw import withdraw
from glassbox.params import withdrawn
from glassbox.params.erased import among
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.lineage.lock import Lock

#: Where the archive without them lies unless another place is named.
ARCHIVES = Path("archives")


class Erased(NamedTuple):
    """What came of it."""

    lines: list[str]  #: What was done, and what is left to do.
    left: list[str]  #: What the scan found of them all the same.


def erase(
    source: str,
    patients: Sequence[str] = (),
    *,
    names: Sequence[str] = (),
    keep_models: bool = False,
    target: Path | None = None,
) -> Erased:
    """Erases patients of a source from everything at hand; killed anywhere, it goes on when it is called again.

    Args:
        source: Key of the source.
        patients: Their ids. Nobody: an erasure that was begun is ended, or, where the ledger says what another
            clone has removed, the same is removed here.
        names: Of DVC's remotes from which their objects go, too.
        keep_models: Whether models that saw them stay.
        target: Where the archive without them shall lie; `archives/<source>.zip` unless given.

    Raises:
        ErasureError: There is nobody to erase, another erasure has begun, or nothing at hand names a patient.
        GlassboxError: As `withdraw`, `replace` and `seal` raise.
    """
    with locked(WORK / "locks" / "erase.lock", "glassbox withdraw --erase"):
        store = Store(Path.cwd(), names)  # whatever is wrong with it is said before anything is written
        place = target or ARCHIVES / f"{source}.zip"
        begun, said = _begin(source, patients, place, keep_models=keep_models)
        if begun is None:
            lines, left = following.follow(source, store)
            return Erased([*said, *lines], left)
        return _go_on(begun, said, store, place)


def _begin(
    source: str, patients: Sequence[str], target: Path, *, keep_models: bool
) -> tuple[Journal | None, list[str]]:
    """The journal, with whom it is about, and what the plain withdrawal said."""
    begun, named = journal.read(source), sorted(set(patients))
    if begun and named and tuple(named) != begun.patients:
        raise ErasureError(
            f"an erasure from {source} has begun that is of other patients ({journal.path(source)})",
            "one at a time",
            f"end it first with `glassbox withdraw --source {source} --erase`",
        )
    if begun is None and not named:
        if ledger.read(source):
            return None, []
        raise ErasureError(
            f"nobody is named, and nobody was erased from {source} before",
            "patients, or a ledger of an erasure on another clone",
            "name them with --patient",
        )
    if begun is None:
        before = among(source, named, withdrawn.read(source))
        if named := [patient for patient in named if patient not in before]:
            refuse(source, named, target)
            begun = Journal(source=source, patients=tuple(named), keep_models=keep_models)
            return begun, _withdrawn(begun)
        return None, [f"erased already: {', '.join(sorted(before))}"]
    return begun, _withdrawn(begun)


def _withdrawn(begun: Journal) -> list[str]:
    """Withdraws them, as far as that is not done; the journal says so first, and goes if they cannot be."""
    if begun.marks:  # gathered after that, and the catalog may be gone by now
        return []
    is_new = journal.read(begun.source) is None
    journal.write(begun)
    try:
        return withdraw(begun.source, begun.patients)[:-2]
    except Exception:
        if is_new:
            journal.path(begun.source).unlink()
        raise


def _go_on(begun: Journal, said: list[str], store: Store, target: Path) -> Erased:
    source, every = begun.source, list(recorded.lock_files(store.root))
    on_record = recorded.objects(every, store)
    if begun.marks is None:
        try:
            begun = _gathered(begun, every, store)
        except ErasureError:  # nothing was removed, and nobody is to go on with it
            journal.path(source).unlink()
            raise
        journal.write(begun)
    marks = begun.marks
    assert marks is not None
    replaced = replace(source, begun.patients, target)
    wanted = Wanted(
        marks,
        () if begun.keep_models else begun.models,
        on_record,
        recorded.stage_sources(every),
        begun.keep_models,
    )
    hits = [hit for hit in removal.find(store, wanted, "looking for them") if not hit.others]
    far = remotes.find(store, wanted)
    ledger.write(source, removal.entries(hits, far, wanted, store))
    removed = ledger.read(source)
    removal.remove(hits, removed, store, marks, ledger.path(source).as_posix())
    gone = remotes.remove(removed.keys() - made_without(every, removed), store, marks)
    seal(source, begun.patients)
    scan.seal_lock(source, begun.patients)
    left = scan.scan(store, wanted)
    if not left.found:
        journal.path(source).unlink()
    told = [
        *said,
        *scan.told(begun, hits, gone, replaced),
        *left.others,
        *scan.out_of_reach(source, store),
    ]
    return Erased(told, left.found)


def _gathered(begun: Journal, every: Sequence[Lock], store: Store) -> Journal:
    """The journal with all that has to be known before anything goes."""
    said = recorded.saw(store.root, begun.source, begun.patients, ledger.erased(store.root))
    if unknown := [patient for patient in begun.patients if patient not in said.images]:
        raise ErasureError(
            f"no table at hand names the images of {', '.join(unknown)}",
            "a catalog or a split of any revision that names them, by which their images are found",
            "bring one back with `dvc fetch --all-commits`, then run this again",
        )
    found = gathering.gather(begun.source, said, recorded.objects(every, store), every, store)
    return begun.model_copy(
        update={
            "marks": found.marks,
            "models": said.models,
            "same_of_others": tuple(found.same_of_others),
            "unread": tuple(said.unread),
        }
    )
