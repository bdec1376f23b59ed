"""What a cohort's reader hands to the catalog: rows as listed, and the images that are there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from glassbox.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from glassbox.sources.zip import Member


class Tables(NamedTuple):
    """A cohort as its archive tells it.

    Attributes:
        rows: One row a listed image: `image_id`, `patient_id`, `findings` (list), `age` in years, `sex`,
            `view`, `official_split`, `boxes` (list of finding, x, y, width, height in pixels).
        images: The image files of the archive, by `image_id`.
    """

    rows: pd.DataFrame
    images: dict[str, Member]


def is_junk(name: str) -> bool:
    """Whether a member is what a desktop left behind (`__MACOSX/._x.jpeg`, `.DS_Store`), not data."""
    path = PurePosixPath(name)
    return path.parts[0] == "__MACOSX" or path.name.startswith(".")


def one_member(archive: list[Member], wanted: Callable[[str], bool]) -> Member | None:
    """The member whose file name is wanted; None without one, refused with several."""
    found = [member for member in archive if not is_junk(member.name) and wanted(PurePosixPath(member.name).name)]
    if len(found) > 1:
        raise CatalogError(
            f"the archive has {' and '.join(member.name for member in found)}",
            "one such table",
            "make the archive again with the one that is meant",
        )
    return found[0] if found else None


def images_by_name(
    archive: list[Member], suffixes: tuple[str, ...], identify: Callable[[str], str]
) -> dict[str, Member]:
    """The image members by the identity that `identify` reads from their names.

    An image that lies in the archive twice (Kaggle's pneumonia set holds a second copy of its whole tree) is
    taken from its shortest path.
    """
    images: dict[str, Member] = {}
    for member in archive:
        if is_junk(member.name) or not member.name.lower().endswith(suffixes):
            continue
        image = identify(member.name)
        if image not in images or len(member.name) < len(images[image].name):
            images[image] = member
    return images
