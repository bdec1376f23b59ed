"""Folds: which images are in training, validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from glassbox.artifacts.split import FOLDS, LABEL
from glassbox.selection import procedures, strata
from glassbox.selection.errors import SplitError
from glassbox.selection.labels import columns

if TYPE_CHECKING:
    from glassbox.params.splits import Split

_UNIT = {"by_patient": "patient", "by_image": "image", "rows_with_replacement": "row"}


def assign(labelled: pd.DataFrame, settings: Split, place: str) -> pd.DataFrame:
    """The rows with their `fold` and `draws`: one an image and fold, in the order they had, then that of `FOLDS`.

    What falls to a fold as a whole is the procedure's (`procedures.units`): all images of a patient, unless a
    published procedure that leaks is asked for. The test fold is the archive's own test list, or a share of the
    units; the validation fold is a share of those that remain or, where a published procedure chose the model on
    its test set, the test fold once more. `draws` is how many of the procedure's units show the image in that
    fold: 1, unless rows were drawn with replacement.

    Args:
        labelled: `image_id, patient_id, sex, official_split` and the label columns, one row an image.
        settings: The split's parameters.
        place: Where they stand in params.yaml, for messages.

    Raises:
        SplitError: There is no official list where one is asked for, a patient of it is also outside of it,
            there are too few units, or a fold lacks a class: any fold of a binary question, the training fold of
            another.
    """
    units = procedures.units(labelled, settings)
    test = _official(labelled, place) if settings.official_test else []
    shares = {} if settings.official_test else {"test": settings.test}
    if settings.validation != "test":
        shares["validation"] = settings.validation
    rest = units.strata.drop(index=test)
    _refuse_few(rest, list(shares), settings, place)
    fold = pd.concat([pd.Series("test", index=test), strata.cut(rest, shares, settings.seed)])
    shown = units.rows.assign(fold=units.rows["unit"].map(fold)).groupby(["position", "fold"]).size()
    shown = shown.rename("draws").reset_index()
    if settings.validation == "test":
        shown = pd.concat([shown, shown[shown["fold"] == "test"].assign(fold="validation")])
    shown["fold"] = pd.Categorical(shown["fold"], FOLDS, ordered=True)
    shown = shown.sort_values(["position", "fold"])
    rows = labelled.iloc[shown["position"]].reset_index(drop=True)
    rows = rows.assign(fold=shown["fold"].tolist(), draws=shown["draws"].to_numpy())
    _refuse_lacking(rows, settings, place)
    return rows


def _official(labelled: pd.DataFrame, place: str) -> list[str]:
    """The patients of the archive's own test list."""
    official = labelled["official_split"] == "test"
    if not official.any() or official.all():
        raise SplitError(
            f"{place}: {int(official.sum()):,} of {len(labelled):,} images are in the official test list",
            "some of them, not all",
            f"use an archive with its test list, or set {place}.official_test to false",
        )
    test = set(labelled.loc[official, "patient_id"])
    if both := sorted(test & set(labelled.loc[~official, "patient_id"])):
        raise SplitError(
            f"{place}: {len(both):,} patients of the official test list have images outside of it: "
            f"{', '.join(both[:3])}{' ...' if len(both) > 3 else ''}",
            "an official list that separates patients",
            f"set {place}.official_test to false to cut a test fold by patient",
        )
    return sorted(test)


def _refuse_few(units: pd.DataFrame, cut: list[str], settings: Split, place: str) -> None:
    """Each fold, and training, has a unit of each class, negative or positive, if there are enough of it."""
    kinds = units["coarse"].value_counts().sort_index()
    if kinds.min() > len(cut):
        return
    unit = _UNIT[settings.procedure]
    counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    raise SplitError(
        f"{place}: {len(units):,} {unit}s ({counted}) are too few to cut a {' and a '.join(cut)} fold of them",
        f"at least {len(cut) + 1} {unit}s of each class",
        f"use more {unit}s",
    )


def _refuse_lacking(rows: pd.DataFrame, settings: Split, place: str) -> None:
    """Of many classes some are so rare that only the training fold can be asked to have them all."""
    binary = settings.labels.task == "binary"
    found = rows.groupby("fold")[columns(rows)].sum().reindex(FOLDS if binary else ["train"])
    sizes = rows["fold"].value_counts()
    lacking = [
        f"{fold}: no image of {sizes[fold]:,} is labelled "
        f"{' or '.join(repr(column.removeprefix(LABEL)) for column in found if images[column] == 0)}"
        for fold, images in found.iterrows()
        if (images == 0).any()
    ]
    if lacking:
        raise SplitError(
            f"{place}: a fold lacks a class ({'; '.join(lacking)})",
            f"images of each class in {'every' if binary else 'the training'} fold",
            "use more patients, other shares or another seed",
        )
