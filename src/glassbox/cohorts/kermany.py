"""The paediatric pneumonia set (Kermany et al. 2018): everything it says is in the names of its files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from glassbox.artifacts.catalog import Vocabulary
from glassbox.cohorts.records import CatalogError, Tables, images_by_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.members import Member

VOCABULARY = Vocabulary(("Pneumonia",), "Normal")
_FOLDERS = {"NORMAL": "Normal", "PNEUMONIA": "Pneumonia"}
_SPLITS = ("train", "val", "test")
#: Bacterial and viral patients are numbered apart: `person78_bacteria_378`, `person78_virus_140` are two.
_SICK = re.compile(r"person(?P<number>\d+)_(?P<subtype>bacteria|virus)_\d+(_\d+)?$")
#: Two series of normals, numbered apart, some with a fourth field: `IM-0439-0001-0002`.
_HEALTHY = re.compile(r"(?P<series>IM|NORMAL2-IM)-(?P<number>\d+)-\d+(-\d+)?$")


def tables(archive: list[Member], content: Callable[[Member], bytes]) -> Tables:  # noqa: ARG001 (one signature)
    """Reads an archive with `{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg` anywhere in it.

    `image_id` is those three parts of the path, since the folders, not the names, keep images apart.

    Raises:
        CatalogError: An image lies elsewhere, or its name gives no patient.
    """
    images = images_by_name(archive, (".jpeg", ".jpg", ".png"), lambda path: "/".join(path.split("/")[-3:]))
    columns = ["image_id", "patient_id", "findings", "official_split"]
    return Tables(pd.DataFrame([_row(image) for image in images], columns=columns), images)


def _row(image: str) -> tuple[str, str, list[str], str]:
    parts = image.split("/")
    if len(parts) != 3 or parts[0] not in _SPLITS or parts[1] not in _FOLDERS:
        raise CatalogError(
            f"the archive has an image at {image!r}",
            "train, val or test, then NORMAL or PNEUMONIA, then the image",
            "check the source's layout, or make the archive without it",
        )
    return image, _patient(image), [_FOLDERS[parts[1]]], parts[0]


def _patient(image: str) -> str:
    stem = PurePosixPath(image).stem
    if match := _SICK.match(stem):
        return f"{match['subtype']}-{int(match['number'])}"
    if match := _HEALTHY.match(stem):
        return f"{match['series']}-{int(match['number'])}"
    raise CatalogError(
        f"the name of {image!r} gives no patient",
        "personN_bacteria_M, personN_virus_M, IM-N-M or NORMAL2-IM-N-M",
        "rename it: without patients no split can be trusted",
    )
