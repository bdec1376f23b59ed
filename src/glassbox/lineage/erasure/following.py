"""An erasure of another clone, made here by its ledger: that takes neither the ids nor the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.lineage.erasure import ledger, recorded, remotes, removal
from glassbox.lineage.erasure.marks import Marks
from glassbox.lineage.erasure.removal import Wanted
from glassbox.lineage.erasure.verdict import made_without

if TYPE_CHECKING:
    from glassbox.lineage.erasure.recorded import Store


def follow(source: str, store: Store) -> tuple[list[str], list[str]]:
    """Removes what the ledger of a source names; lines that say what was done, and what is there all the same.

    Args:
        source: Key of the source.
        store: Where objects lie, in remotes that follow, too.
    """
    every, named = list(recorded.lock_files(store.root)), ledger.read(source)
    wanted = Wanted(
        Marks(source=source, patients=()),
        named.keys() - made_without(every, named),
        recorded.objects(every, store),
        recorded.stage_sources(every),
        keep_models=False,
    )
    hits = removal.find(store, wanted, "looking for what was erased elsewhere")
    removal.remove(hits, named, store, wanted.marks, ledger.path(source).as_posix())
    gone = remotes.remove(wanted.md5s, store, wanted.marks)
    store.forget()
    again = removal.find(store, wanted, "looking again")
    copies = sum(hit.md5 in wanted.md5s for hit in hits)
    lines = [
        f"{ledger.path(source)} names {len(named):,} objects; {copies:,} copies of them were here and are gone",
        *(f"remote {name}: {count:,} objects removed" for name, count in gone.items()),
        "by the ledger alone nobody knows whom to look for: names and pixels were not searched for here",
    ]
    return lines, [f"{hit.file.path} {hit.why}" for hit in again]
