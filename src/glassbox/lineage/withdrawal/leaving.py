"""What leaves an archive with some patients: their members, and their rows in its tables."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from glassbox.archives.tables import checked
from glassbox.lineage.withdrawal import rows
from glassbox.lineage.withdrawal.consequences import WithdrawalError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import ModuleType

    from glassbox.artifacts.members import Member

#: What a file manager puts before the name of a file for what it keeps beside it, and in which folder.
_BESIDE, _FOLDER_BESIDE = "._", "__MACOSX/"


class Leaving(NamedTuple):
    """How an archive changes."""

    members: list[str]  #: Names of those that go, in archive order.
    tables: dict[str, bytes]  #: Name of a member -> what it holds afterwards, where that is something else.


def leaving(
    archive: list[Member],
    content: Callable[[Member], bytes],
    cohort: ModuleType,
    theirs: Callable[[Collection[str]], Collection[str]],
    place: str,
) -> Leaving:
    """Which members of an archive go with some patients, and how its tables change.

    Their images go with every copy: by name, beside which a file manager keeps another, or by content. A copy that
    the tables give to somebody else stays.

    Args:
        archive: All members, each with its SHA-256.
        content: Gives the bytes of one.
        cohort: What the archive's tables mean.
        theirs: Of the ids of all patients, those of who goes.
        place: What messages begin with.

    Raises:
        WithdrawalError: The tables would not say of the others what they say now, or a member that is no table
            names an image of theirs.
        CatalogError: The tables are not those of the layout.
    """
    listed, images = cohort.tables(archive, content)
    listed = checked(listed, cohort.VOCABULARY, place)
    patients = theirs(listed["patient_id"].unique())
    of_them = listed["patient_id"].isin(patients)
    ids = set(listed.loc[of_them, "image_id"])
    others = {image: images[image].name for image in listed.loc[~of_them, "image_id"] if image in images}
    named = {images[image].name for image in ids if image in images}
    of_others = set(others.values())
    going = _members(archive, named, of_others)
    staying = [member for member in archive if member.name not in going]
    tables = _tables(staying, content, _Naming(ids | _paths(going, staying), patients, _columns(cohort)))
    for member in staying:
        if member.name not in of_others and not _is_text(member):
            _refuse_mention(content(member), member.name, ids, place)

    def new_content(member: Member) -> bytes:
        return tables[member.name] if member.name in tables else content(member)

    again, left = cohort.tables(staying, new_content)
    again = checked(again, cohort.VOCABULARY, place)
    same_rows = again.reset_index(drop=True).equals(listed[~of_them].reset_index(drop=True))
    same_images = others == {image: left[image].name for image in again["image_id"] if image in left}
    if not same_rows or not same_images or ids & left.keys():
        raise WithdrawalError(
            f"{place}: without the rows and members of these patients, the archive says other things of others",
            "one row an image in tables of CSV, and lists with one image a line",
            "make an archive without them by hand, and name it as the source",
        )
    return Leaving([member.name for member in archive if member.name in going], tables)


def _members(archive: list[Member], named: Collection[str], others: Collection[str]) -> set[str]:
    """Names of all members that go with the named ones; those of other patients stay."""
    # A cohort takes one of several copies of an image, and refuses those that are no copies.
    files = {member.sha256 for member in archive if member.name in named}
    going = {member.name for member in archive if member.sha256 in files and member.name not in others}
    return going | {member.name for member in archive if _beside(member.name) in going}


def _beside(name: str) -> str | None:
    """The member beside which a file manager keeps this one."""
    folder, slash, file = name.removeprefix(_FOLDER_BESIDE).rpartition("/")
    return folder + slash + file.removeprefix(_BESIDE) if file.startswith(_BESIDE) else None


class _Naming(NamedTuple):
    """What a row of a table goes for."""

    images: set[str]
    patients: Collection[str]
    columns: Collection[str]  #: Those that have patients.


def _columns(cohort: ModuleType) -> Collection[str]:
    columns: Collection[str] = getattr(cohort, "PATIENT_COLUMNS", ())
    return columns


def _paths(going: set[str], staying: list[Member]) -> set[str]:
    """What tables may call members that go: their paths or the ends of these, with and without a suffix.

    What a member that stays may be called, or what is a number, is no name.
    """
    names = {end for name in going for end in _ends(name)}
    for member in staying:
        names.difference_update(_ends(member.name))
    return {name for name in names if not name.isdecimal()}


def _ends(path: str) -> Iterator[str]:
    parts = path.split("/")
    for start in range(len(parts)):
        end = "/".join(parts[start:])
        yield end
        yield str(PurePosixPath(end).with_suffix(""))


def _is_text(member: Member) -> bool:
    return member.name.lower().endswith(rows.TEXT)


def _tables(staying: list[Member], content: Callable[[Member], bytes], naming: _Naming) -> dict[str, bytes]:
    changed = {}
    for member in filter(_is_text, staying):
        before = content(member)
        after = rows.without(before, member.name, *naming)
        if after != before:
            changed[member.name] = after
    return changed


def _refuse_mention(content: bytes, name: str, ids: Collection[str], place: str) -> None:
    """Refuses what names an image and cannot be cut; a number names none, since it may stand for anything."""
    for image in ids:
        if not image.isdecimal() and image.encode() in content:
            raise WithdrawalError(
                f"{place}: {name} of the archive names the image {image}, and is no table that can be cut",
                f"what names images in members that end in {', '.join(rows.TEXT)}",
                "make an archive without it, or with it mended by hand, and name that as the source",
            )
