"""The paediatric pneumonia set (Kermany et al. 2018): everything it says is in the names of its files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from glassbox.archives.tables import CatalogError, Tables, images_by_name
from glassbox.artifacts.catalog import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.members import Member

VOCABULARY = Vocabulary(("Pneumonia",), "Normal")
_IMAGE = re.compile(r"(train|val|test)/(NORMAL|PNEUMONIA)/([^/]+)\.\w+")
_PATIENTS = (
    # Bacterial and viral patients are numbered apart: `person78_bacteria_378`, `person78_virus_140` are two.
    re.compile(r"person(?P<number>\d+)_(?P<series>bacteria|virus)_\d+(_\d+)?"),
    # Two series of normals, numbered apart, some with a fourth field: `IM-0439-0001-0002`.
    re.compile(r"(?P<series>IM|NORMAL2-IM)-(?P<number>\d+)-\d+(-\d+)?"),
)


def tables(archive: list[Member], content: Callable[[Member], bytes]) -> Tables:  # noqa: ARG001 (one signature)
    """Reads an archive with `{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg` anywhere in it.

    `image_id` is those three parts of the path, since the folders, not the names, keep images apart.

    Raises:
        CatalogError: An image lies elsewhere, or its name gives no patient.
    """
    images = images_by_name(archive, (".jpeg", ".jpg", ".png"), lambda path: "/".join(path.split("/")[-3:]))
    rows = pd.DataFrame(map(_row, images), columns=["image_id", "patient_id", "findings", "official_split"])
    return Tables(rows, images)


def _row(image: str) -> tuple[str, str, list[str], str]:
    if not (parts := _IMAGE.fullmatch(image)):
        raise CatalogError(
            f"the archive has an image at {image!r}",
            "train, val or test, then NORMAL or PNEUMONIA, then the image",
            "check the source's layout, or make the archive without it",
        )
    split, folder, name = parts.groups()
    for pattern in _PATIENTS:
        if match := pattern.fullmatch(name):
            return image, f"{match['series']}-{int(match['number'])}", [folder.capitalize()], split
    raise CatalogError(
        f"the name of {image!r} gives no patient",
        "personN_bacteria_M, personN_virus_M, IM-N-M or NORMAL2-IM-N-M",
        "rename it: without patients no split can be trusted",
    )
