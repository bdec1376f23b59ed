"""NIH ChestX-ray14: findings, patients, official lists and boxes from the four tables of its archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from glassbox.archives.tables import CatalogError, Tables, images_by_name, one_member, table
from glassbox.artifacts.catalog import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.members import Member

#: Wang et al. 2017, as `Data_Entry_2017.csv` spells them.
VOCABULARY = Vocabulary(
    (
        "Atelectasis",
        "Cardiomegaly",
        "Consolidation",
        "Edema",
        "Effusion",
        "Emphysema",
        "Fibrosis",
        "Hernia",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pleural_Thickening",
        "Pneumonia",
        "Pneumothorax",
    ),
    "No Finding",
)
#: The header of the boxes' table has commas in one name.
_BOX_COLUMNS = {
    "Image Index": "image_id",
    "Finding Label": "finding",
    "Bbox [x": "x",
    "y": "y",
    "w": "width",
    "h]": "height",
}
_COLUMNS = {
    "Image Index": "image_id",
    "Finding Labels": "findings",
    "Patient ID": "patient_id",
    "Patient Age": "age",
    "Patient Gender": "sex",
    "View Position": "view",
}
#: Columns of any of its tables that have patients: whoever is erased leaves by them too.
PATIENT_COLUMNS = ("Patient ID",)
_AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 1 / 52, "D": 1 / 365}


def tables(archive: list[Member], content: Callable[[Member], bytes]) -> Tables:
    """Reads an archive in NIH's layout; `content` gives the bytes of a member.

    Raises:
        CatalogError: A table is missing or lacks a column, or holds a value that NIH's never has.
    """
    member = one_member(archive, lambda name: name.startswith("Data_Entry_2017") and name.endswith(".csv"))
    if member is None:
        raise CatalogError(
            "the archive has no Data_Entry_2017.csv",
            "an archive in NIH's layout",
            "check the source's layout, or make the archive with NIH's table in it",
        )
    rows = _entries(content(member), member.name)
    official: dict[str, str] = {}
    for list_name, split in (("train_val_list.txt", "train_val"), ("test_list.txt", "test")):
        if member := one_member(archive, list_name.__eq__):
            official |= dict.fromkeys(content(member).decode("utf-8-sig").split(), split)
    rows["official_split"] = [official.get(image) for image in rows["image_id"]]
    member = one_member(archive, lambda name: name == "BBox_List_2017.csv")
    boxes = _boxes(content(member), member.name) if member else {}
    rows["boxes"] = [boxes.get(image, []) for image in rows["image_id"]]
    return Tables(rows, images_by_name(archive, (".png",), lambda path: path.rpartition("/")[2]))


def _entries(csv: bytes, name: str) -> pd.DataFrame:
    rows = table(csv, _COLUMNS, name)
    rows["findings"] = rows["findings"].str.split("|")
    number = pd.to_numeric(rows["patient_id"], errors="coerce")
    named = pd.to_numeric(rows["image_id"].str.split("_").str[0], errors="coerce")
    if (wrong := number.isna() | (number != named)).any():
        image, patient = rows.loc[wrong, ["image_id", "patient_id"]].iloc[0]
        raise CatalogError(
            f"{name}: image {image} is given to patient {patient!r}",
            "the patient whose number its name begins with",
            "mend the row: a wrong patient would leak between folds",
        )
    rows["patient_id"] = number.astype("int64").astype(str)
    rows["age"] = rows["age"].map(lambda age: _years(age, name))
    rows[["sex", "view"]] = rows[["sex", "view"]].replace("", None)
    return rows


def _years(age: str, name: str) -> float:
    """An age in years from `58`, `058Y`, `011M` or `004D`."""
    text = age.strip()
    unit = _AGE_UNITS.get(text[-1:].upper())
    digits = text[:-1] if unit else text
    if not digits.isdigit():
        raise CatalogError(f"{name}: age {age!r}", "a number of years, or one like 058Y", "mend the row")
    return round(int(digits) * (unit or 1.0), 2)


def _boxes(csv: bytes, name: str) -> dict[str, list[dict[str, object]]]:
    """Boxes by image, in pixels of the full film."""
    rows = table(csv, _BOX_COLUMNS, name)
    rows["finding"] = rows["finding"].replace("Infiltrate", "Infiltration")
    sides = ["x", "y", "width", "height"]
    rows[sides] = rows[sides].apply(pd.to_numeric, errors="coerce").astype("float64")
    if (wrong := rows[sides].isna().any(axis=1)).any():
        raise CatalogError(
            f"{name}: a box of {rows.loc[wrong, 'image_id'].iloc[0]} lacks a number",
            "x, y, width and height in pixels",
            "mend the row, or fetch the archive again",
        )
    boxes: dict[str, list[dict[str, object]]] = {}
    for image, box in zip(rows["image_id"], rows[["finding", *sides]].to_dict("records"), strict=True):
        boxes.setdefault(image, []).append(box)
    return boxes
