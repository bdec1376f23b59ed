"""An erasure of another clone, made here by its ledger: that takes neither the ids nor the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.lineage.erasure import ledger, recorded, remotes, removal
from glassbox.lineage.erasure.marks import Marks
from glassbox.lineage.erasure.recorded import Store
from glassbox.lineage.erasure.removal import MODEL, Wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from glassbox.lineage.lock import Lock


def follow(source: str, root: Path, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Removes what the ledger of a source names; lines that say what was done, and what is there all the same.

    Args:
        source: Key of the source.
        root: The project's folder.
        names: Of the remotes that follow, too.
    """
    store, every, named = Store(root, names), list(recorded.lock_files(root)), ledger.read(source)
    wanted = Wanted(
        Marks(source=source, patients=()),
        named.keys() - made_without(every, named),
        recorded.objects(every, store),
        recorded.stage_sources(every),
        keep_models=False,
    )
    hits = removal.find(store, wanted, "looking for what was erased elsewhere")
    removal.remove(hits, named, store, wanted.marks, ledger.path(source).as_posix())
    gone = remotes.remove(wanted.md5s, store)
    again = removal.find(Store(root), wanted, "looking again")
    lines = [
        f"{ledger.path(source)} names {len(named):,} objects; {len(hits):,} copies of them were here and are gone",
        *(f"remote {name}: {count:,} objects removed" for name, count in gone.items()),
        "by the ledger alone nobody knows whom to look for: names and pixels were not searched for here",
    ]
    return lines, [f"{hit.file.path} {hit.why}" for hit in again]


def made_without(every: Iterable[Lock], erased: Collection[str]) -> set[str]:
    """The MD5 of models that were made again, to the byte, from data of which nothing was erased."""
    found = set()
    for lock in every:
        for stage, entry in lock.stages.items():
            if any(out.md5 in erased and out.path.endswith(MODEL) for out in entry.outs) and not from_erased(
                lock, lock.chain(stage), erased
            ):
                found |= {out.md5 for out in entry.outs if out.path.endswith(MODEL)}
    return found


def from_erased(lock: Lock, chain: Iterable[str], erased: Collection[str]) -> bool:
    """Whether stages wrote data that were erased: that a model was, does not say so."""
    outs = (out for stage in chain for out in lock.stages[stage].outs)
    return any(out.md5 in erased and not out.path.endswith(MODEL) for out in outs)
