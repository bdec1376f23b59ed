"""What a cohort's reader hands to the catalog: rows as listed, and the images that are there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.catalog import Vocabulary
    from glassbox.artifacts.members import Member

_NEEDED = ("image_id", "patient_id", "findings")
_OPTIONAL = ("age", "sex", "view", "official_split", "boxes")


class CatalogError(GlassboxError):
    """The tables of an archive do not say what their layout promises."""


class Tables(NamedTuple):
    """A cohort as its archive tells it."""

    #: One row a listed image: `image_id`, `patient_id`, `findings` (list) and, where the cohort has them, `age` in
    #: years, `sex`, `view`, `official_split`, `boxes` (list of finding, x, y, width, height in pixels of the full
    #: film).
    rows: pd.DataFrame
    images: dict[str, Member]  #: The image files of the archive, by `image_id`.


def checked(rows: pd.DataFrame, vocabulary: Vocabulary, place: str) -> pd.DataFrame:
    """The rows of `Tables` with every column that they may have; messages begin with `place`.

    Raises:
        CatalogError: A column is missing or unknown, an image is listed twice or has no patient, or its findings
            are not in the cohort's words.
    """
    missing = [column for column in _NEEDED if column not in rows]
    if wrong := missing or [column for column in rows if column not in (*_NEEDED, *_OPTIONAL)]:
        raise CatalogError(
            f"{place}: the cohort's reader {'leaves out' if missing else 'makes'} a column {wrong[0]!r}",
            f"{', '.join(_NEEDED)} and, where there are such, {', '.join(_OPTIONAL)}",
            "correct `tables` in the cohort's module",
        )
    for column in _OPTIONAL:
        if column not in rows:
            rows = rows.assign(**{column: [[] for _ in range(len(rows))] if column == "boxes" else None})
    images = rows["image_id"]
    if (twice := images.duplicated()).any():
        raise CatalogError(
            f"{place}: image {images[twice].iloc[0]} is listed twice", "one row an image", "mend the table"
        )
    if (nobody := rows["patient_id"].isna() | (rows["patient_id"] == "")).any():
        raise CatalogError(
            f"{place}: image {images[nobody].iloc[0]} has no patient",
            "a patient for each image",
            "mend the table: without patients no split can be trusted",
        )
    _check_findings(rows, vocabulary, place)
    return rows


def _check_findings(rows: pd.DataFrame, vocabulary: Vocabulary, place: str) -> None:
    findings, absence = vocabulary
    named = {finding for found in rows["findings"] for finding in found}
    named |= {box["finding"] for boxes in rows["boxes"] for box in boxes}
    if unknown := sorted(named - {*findings, absence}):
        raise CatalogError(
            f"{place}: the tables have the unknown finding(s) {', '.join(map(repr, unknown))}",
            f"the cohort's: {', '.join((*findings, absence))}",
            "mend the table; an unknown name would silently count as absent",
        )
    wrong = rows["findings"].map(lambda found: not found or (absence in found and len(found) > 1))
    if wrong.any():
        image, found = rows.loc[wrong, ["image_id", "findings"]].iloc[0]
        said = " beside ".join(map(repr, found)) or "neither a finding nor their absence"
        raise CatalogError(
            f"{place}: image {image} has {said}",
            f"one finding or several, or {absence!r} alone",
            "mend the table",
        )


def _data(archive: list[Member]) -> list[tuple[str, Member]]:
    """The members by file name, without what a desktop left behind (`__MACOSX/._x.jpeg`, `.DS_Store`)."""
    named = [(member.name.rpartition("/")[2], member) for member in archive]
    return [it for it in named if not it[0].startswith(".") and "__MACOSX" not in it[1].name.split("/")]


def one_member(archive: list[Member], wanted: Callable[[str], bool]) -> Member | None:
    """The member whose file name is wanted; None without one, refused with several."""
    found = [member for name, member in _data(archive) if wanted(name)]
    if len(found) > 1:
        raise CatalogError(
            f"the archive has {' and '.join(member.name for member in found)}",
            "one such table",
            "make the archive again with the one that is meant",
        )
    return found[0] if found else None


def table(csv: bytes, columns: dict[str, str], name: str) -> pd.DataFrame:
    """Some columns of a CSV, as text; an empty cell is "". `columns` gives the header's names -> ours.

    Raises:
        CatalogError: It is no CSV, or lacks a column.
    """
    try:
        header = list(pd.read_csv(io.BytesIO(csv), index_col=False, nrows=0))
        rows = pd.read_csv(
            io.BytesIO(csv),
            dtype=str,
            # Rows that end in one more comma than the header would else shift by a column.
            index_col=False,
            usecols=[column for column in columns if column in header],
            keep_default_na=False,
        )
    except ValueError as error:
        raise CatalogError(f"{name} is no table: {error}", "a CSV in UTF-8", "fetch the archive again") from None
    if missing := [column for column in columns if column not in header]:
        raise CatalogError(
            f"{name} lacks the column(s) {', '.join(map(repr, missing))}; it has {', '.join(map(repr, header))}",
            f"the columns {', '.join(map(repr, columns))}",
            "check the source's layout, or restore the table's header",
        )
    return rows[list(columns)].rename(columns=columns)


def images_by_name(
    archive: list[Member], suffixes: tuple[str, ...], identify: Callable[[str], str]
) -> dict[str, Member]:
    """The image members by the identity that `identify` reads from their names.

    An image that lies in the archive twice (Kaggle's pneumonia set holds a second copy of its whole tree) is
    taken from its shortest path.

    Raises:
        CatalogError: Two members of one identity differ.
    """
    images: dict[str, Member] = {}
    for member in [member for name, member in _data(archive) if name.lower().endswith(suffixes)]:
        image = identify(member.name)
        other = images.get(image)
        if other and other.sha256 != member.sha256:
            raise CatalogError(
                f"the archive has two different images {image!r}: {other.name} and {member.name}",
                "one file an image, or copies of the same bytes",
                "make the archive again with the one that is meant",
            )
        if not other or len(member.name) < len(other.name):
            images[image] = member
    return images
