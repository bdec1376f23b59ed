"""An erasure of another clone, made here by its ledger: that takes neither the ids nor the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.lineage.erasure import ledger, recorded, remotes, removal
from glassbox.lineage.erasure.marks import Marks
from glassbox.lineage.erasure.recorded import Store
from glassbox.lineage.erasure.removal import Wanted
from glassbox.lineage.erasure.verdict import made_without

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
