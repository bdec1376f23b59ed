"""Which outputs of a revision an erasure removed: what was made from them can be neither proved nor made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.lineage.erasure import ledger
from glassbox.lineage.lock import LineageError
from glassbox.lineage.trace.records import MODEL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from glassbox.lineage.lock import Lock
    from glassbox.lineage.revision import Revision


def from_erased(lock: Lock, chain: Iterable[str], erased: Collection[str]) -> bool:
    """Whether stages wrote data that were erased.

    A model says nothing of that: one that was only selected by the patients may be made again, to the byte, from
    data without them.
    """
    outs = (out for stage in chain for out in lock.stages[stage].outs)
    return any(out.md5 in erased and not out.path.endswith(MODEL) for out in outs)


def made_without(every: Iterable[Lock], erased: Collection[str]) -> set[str]:
    """The MD5 of models that a ledger has and that were made again from data of which nothing was erased."""
    found = set()
    for lock in every:
        for stage, entry in lock.stages.items():
            models = {out.md5 for out in entry.outs if out.path.endswith(MODEL)}
            if not models.isdisjoint(erased) and not from_erased(lock, lock.chain(stage), erased):
                found |= models
    return found


def erased_outputs(lock: Lock, chain: Sequence[str], root: Path) -> dict[str, str]:
    """Path -> ledger, of what some stages wrote and an erasure removed."""
    erased = ledger.erased(root)
    if not from_erased(lock, chain, erased):
        return {}
    outs = (out for stage in chain for out in lock.stages[stage].outs)
    return {out.path: erased[out.md5].as_posix() for out in outs if out.md5 in erased}


def refuse(said: str, revision: Revision, chain: Sequence[str], root: Path) -> None:
    """Refuses a model of which an erasure removed what it was made from.

    Raises:
        LineageError: It did.
    """
    if gone := erased_outputs(revision.lock, chain, root):
        ledgers = ", ".join(dict.fromkeys(gone.values()))
        raise LineageError(
            f"{said} is erased, and no longer rebuildable: {', '.join(gone)} of {revision.name} were removed for "
            f"patients who were erased ({ledgers})",
            "a revision from which nobody was erased since",
            "name the model that `dvc repro` made after the erasure",
        )
