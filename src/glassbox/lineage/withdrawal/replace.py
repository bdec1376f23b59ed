"""An archive without some patients in the place of the one that holds them, and digests in the place of their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


class Replaced(NamedTuple):
    """The archive that takes the old one's place."""

    path: Path  #: Where it lies; as it was asked for.
    sha256: str  #: Of its bytes.
    dropped: list[str]  #: Names of the members that the old one had and this one does not.


def replace(source: str, patients: Collection[str], target: Path) -> Replaced:
    """Writes the archive of a source without some patients: their members, and their rows in its tables.

    Safe to repeat: what is done already is not done again, also after the old archive was removed. What it keeps
    for that in `work/erasure/<source>.cut.json` names the members, and goes with `seal`.

    Args:
        source: Key of the source; its archive and the index of its members are at hand.
        patients: Ids, all on the list of the source.
        target: Where the new zip shall lie, usually `archives/<source>.zip`.

    Returns:
        The new archive; `dropped` is empty if `seal` has ended for all of the patients.

    Raises:
        ArchiveError: The archive is damaged, or cannot be written.
        WithdrawalError: It is not at hand, the key of an earlier erasure is not at hand, or without the patients
            its tables would not say of the others what they say now.
    """
    raise NotImplementedError


def seal(source: str, patients: Collection[str]) -> None:
    """Puts digests in the place of ids in the list and in params.yaml, and the new archive in the source's.

    Safe to repeat. Afterwards nothing that it or `replace` wrote names the patients.

    Raises:
        WithdrawalError: `replace` has not ended for these patients.
        ParamsError: params.yaml is written in a way that this cannot edit.
    """
    raise NotImplementedError
