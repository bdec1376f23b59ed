"""An archive without some patients in the place of the one with them, and digests in the place of their ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.archives import cut
from glassbox.archives import zip as zips
from glassbox.artifacts import archive, members
from glassbox.artifacts.damage import ArtifactError
from glassbox.catalogs.build import cohort_of
from glassbox.files import json_object, write_json, write_text
from glassbox.lineage.withdrawal.consequences import WithdrawalError
from glassbox.lineage.withdrawal.edited import edited
from glassbox.lineage.withdrawal.leaving import leaving
from glassbox.lineage.withdrawal.withdraw import SECTION
from glassbox.params import cut_archive, erased, withdrawn
from glassbox.params.document import checked
from glassbox.params.read import values
from glassbox.params.sources import ArchiveSource
from glassbox.paths import PARAMS, WORK

if TYPE_CHECKING:
    from collections.abc import Collection

    from glassbox.artifacts.members import Member
    from glassbox.params.sources import AnySource


class Replaced(NamedTuple):
    """The archive that takes the old one's place."""

    path: Path  #: Where it lies; as it was asked for.
    sha256: str  #: Of its bytes.
    dropped: list[str]  #: Names of the members that the old one had and this one does not.


def refuse(source: str, patients: Collection[str], target: Path) -> None:
    """Refuses what `replace` and `seal` would refuse after the patients are on the list, while nothing is written.

    Args:
        source: Key of the source.
        patients: Their ids.
        target: Where the new zip shall lie.

    Raises:
        WithdrawalError: The archive is not at hand, or something else lies where the new one shall.
        ParamsError: The key of an earlier erasure is not at hand, or what lies in its place is none.
    """
    cut_archive.refuse_new_key()
    _refuse_taken(source, patients, target)
    _members(source, _settings(source))


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
        WithdrawalError: It is not at hand, or without the patients its tables would not say of the others what
            they say now.
        ParamsError: The key of an earlier erasure is not at hand.
    """
    settings, listed = _settings(source), withdrawn.read(source)
    before, state = cut_archive.read(source), json_object(_state(source))
    begun = _begun(patients, target)
    if begun.items() <= state.items() and "sha256" in state and target.is_file():
        return Replaced(target, state["sha256"], state["dropped"])
    if before and _are_sealed(source, patients, listed):
        return Replaced(before.archive.path, before.archive.sha256, [])
    if before:
        _refuse_another(source, settings, before)
    cut_archive.refuse_new_key()
    cut_archive.refuse(source, settings, listed)
    _refuse_taken(source, patients, target)
    held, zipped = _members(source, settings), archive.path(source)
    with zips.opened(zipped) as descriptor:
        going = leaving(
            held,
            lambda member: zips.read(descriptor, member),
            cohort_of(settings.layout, f"sources.{source}"),
            # Of an archive from before an earlier erasure those of that one go as well.
            lambda known: {*patients, *erased.among(source, known, listed)},
            f"sources.{source}",
        )
    # What lies there is ours from here on, whenever this ends.
    write_json(_state(source), begun)
    sha256 = cut.cut(zipped, target, set(going.members), going.tables)
    write_json(_state(source), {**begun, "sha256": sha256, "dropped": going.members})
    return Replaced(target, sha256, going.members)


def seal(source: str, patients: Collection[str]) -> None:
    """Puts digests in the place of ids in the list and in params.yaml, and the new archive in the source's.

    Safe to repeat. Afterwards nothing that it or `replace` wrote names the patients.

    Raises:
        WithdrawalError: `replace` has not ended for these patients.
        ParamsError: params.yaml is written in a way that this cannot edit, or the key is not at hand any more.
    """
    settings, listed = _settings(source), withdrawn.read(source)
    state = json_object(_state(source))
    if state.get("patients") != sorted(patients) or "sha256" not in state:
        if _are_sealed(source, patients, listed):
            return
        raise WithdrawalError(
            f"{_state(source)} does not say that the archive of {source} was cut without these patients",
            "what the first half of the erasure wrote",
            "run the same command again",
        )
    cut_archive.refuse_new_key()
    key = erased.make_key()
    place = cut_archive.Place(path=Path(state["path"]), sha256=state["sha256"])
    replaces = _replaces(settings, cut_archive.read(source), place)
    cut = cut_archive.Cut(archive=place, key_sha256=cut_archive.key_sha256(key), replaces=tuple(replaces))
    cut_archive.write(source, cut)
    digests = {erased.digest(key, source, patient) for patient in patients}
    withdrawn.write(source, sorted({*listed, *digests}.difference(patients)))
    # Last: until here the stage `code` refuses params.yaml.
    text = PARAMS.read_text(encoding="utf-8")
    text = edited(text, ["sources", source], cut_archive.in_place_of(settings, place))
    text = edited(text, [SECTION], withdrawn.section(values()["sources"]))
    write_text(PARAMS, text)
    _state(source).unlink()


def _state(source: str) -> Path:
    """What was cut already; it names members."""
    return WORK / "erasure" / f"{source}.cut.json"


def _settings(source: str) -> AnySource:
    sources = checked(values(), str(PARAMS)).sources
    if source not in sources:
        raise WithdrawalError(
            f"{PARAMS} has no source {source!r}", f"one of: {', '.join(sources)}", "name one of them"
        )
    return sources[source]


def _are_sealed(source: str, patients: Collection[str], listed: Collection[str]) -> bool:
    return erased.among(source, patients, listed) == set(patients)


def _refuse_another(source: str, settings: AnySource, before: cut_archive.Cut) -> None:
    """Refuses a source that an earlier erasure did not mean: one source has one archive."""
    if cut_archive.is_cut(settings, before) or cut_archive.identity(settings) in before.replaces:
        return
    raise WithdrawalError(
        f"{PARAMS}: sources.{source} is another archive than the one that somebody was erased from",
        f"the archive that {cut_archive.path(source)} names, or what it took the place of",
        "compose the profile that has it with `glassbox use PROFILE`, or give this archive a source of its own",
    )


def _members(source: str, settings: AnySource) -> list[Member]:
    """The members of the archive that is at hand, which is the one that the parameters mean."""
    zipped = archive.path(source)
    if not zipped.is_file():
        raise _not_at_hand(source, f"{zipped} is not there")
    try:
        held, sha256 = members.read(source)
    except ArtifactError as error:
        raise _not_at_hand(source, error.found) from None
    if isinstance(settings, ArchiveSource) and settings.sha256 != sha256:
        raise _not_at_hand(source, f"{zipped} has sha256 {sha256}, and the parameters say {settings.sha256}")
    if [member._replace(sha256="") for member in held] != zips.members(zipped):
        raise _not_at_hand(source, f"{zipped} has other members than {members.path(source)} says")
    return held


def _begun(patients: Collection[str], target: Path) -> dict[str, Any]:
    """What `work/erasure/<source>.cut.json` says from the moment on that a zip is written."""
    return {"patients": sorted(patients), "path": str(target)}


def _refuse_taken(source: str, patients: Collection[str], target: Path) -> None:
    """Refuses to write over what is no zip of this erasure, nor of an earlier one of the source."""
    before = cut_archive.read(source)
    is_ours = _begun(patients, target).items() <= json_object(_state(source)).items()
    if target.exists() and not is_ours and (not before or target != before.archive.path):
        raise WithdrawalError(
            f"{target} is there already", "a place for the archive without them", "name another with --archive"
        )


def _not_at_hand(source: str, found: str) -> WithdrawalError:
    return WithdrawalError(
        found,
        f"the archive of {source} as it was fetched, from which to copy what stays",
        f"bring it with `dvc checkout data/archives/{source}.zip`, or make it with `dvc repro download@{source}`",
    )


def _replaces(
    settings: AnySource, before: cut_archive.Cut | None, place: cut_archive.Place
) -> list[dict[str, Any]]:
    """Which blocks the archive takes the place of: this one, and what earlier ones did."""
    replaces = list(before.replaces) if before else []
    new = ArchiveSource(**cut_archive.in_place_of(settings, place))
    old = [ArchiveSource(**cut_archive.in_place_of(settings, before.archive))] if before else []
    for block in (settings, *old):
        found = cut_archive.identity(block)
        if found not in replaces and found != cut_archive.identity(new):
            replaces.append(found)
    return replaces
