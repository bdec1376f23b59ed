"""Folds: which images are in training, validation and test, by our procedure or by a published one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glassbox.artifacts import split as artifact
from glassbox.artifacts.split import FOLDS
from glassbox.splits import strata
from glassbox.splits.labels import SplitError, positive

if TYPE_CHECKING:
    from glassbox.params.splits import Split

_UNIT = {"by_patient": "patient", "by_image": "image", "rows_with_replacement": "row"}


def assign(labelled: pd.DataFrame, settings: Split, place: str) -> pd.DataFrame:
    """The rows with their `fold` and `draws`: one an image and fold, in the order they had, then that of `FOLDS`.

    What falls to a fold as a whole, a unit, is the procedure's: all images of a patient, unless a published
    procedure that leaks is asked for. The test fold is the archive's own test list, or a share of the units; the
    validation fold is a share of those that remain or, where a published procedure chose the model on its test
    set, the test fold once more. `draws` is how many of the procedure's units show the image in that
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
    units, rows_of_units = _units(labelled, settings)
    test = _official(labelled, place) if settings.official_test else []
    shares = {} if settings.official_test else {"test": settings.test}
    if settings.validation != "test":
        shares["validation"] = settings.validation
    rest = units.drop(index=test)
    _refuse_few(rest, list(shares), settings, place)
    fold = pd.concat([pd.Series("test", index=test), strata.cut(rest, shares, settings.seed)])
    shown = rows_of_units.assign(fold=rows_of_units["unit"].map(fold)).groupby(["position", "fold"]).size()
    shown = shown.rename("draws").reset_index()
    if settings.validation == "test":
        shown = pd.concat([shown, shown[shown["fold"] == "test"].assign(fold="validation")])
    shown["fold"] = pd.Categorical(shown["fold"], FOLDS, ordered=True)
    shown = shown.sort_values(["position", "fold"])
    rows = labelled.iloc[shown["position"]].reset_index(drop=True)
    rows = rows.assign(fold=shown["fold"].tolist(), draws=shown["draws"].to_numpy())
    _refuse_lacking(rows, settings, place)
    return rows


def _units(labelled: pd.DataFrame, settings: Split) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What falls to a fold as a whole by a split's procedure: its units.

    * `by_patient`: patients, stratified by whether any image is positive, and by sex.
    * `by_image` (as an MIT class report split NIH): images, so that a patient may be in several folds; stratified
      by class, or, where an image has several, by whether it has a finding.
    * `rows_with_replacement` (as Intel's article of 2018 did): of each class `rows_a_class` rows that are drawn
      with replacement, so that an image may be in several folds; stratified by the class that a row was drawn
      for, and by sex.

    Units and their strata do not depend on the order of the rows, nor, but for drawn rows, on other units.

    Returns:
        The strata, one row a unit, indexed by its id, as `strata.cut` takes them; and the units' rows: `position`
        of the row, from 0, and its `unit`. A row is in several units, or none, where rows were drawn.
    """
    sex = labelled["sex"].fillna("unknown")
    if settings.procedure == "rows_with_replacement":
        return _drawn(labelled, sex, settings)
    if settings.procedure == "by_image":
        found, unit = strata.of_images(labelled, settings.labels), labelled["image_id"]
    else:
        unit = labelled["patient_id"]
        patients = pd.DataFrame({"positive": positive(labelled), "sex": sex}).groupby(unit)
        # Of two sexes that tables give one patient the first by the alphabet counts, whichever film comes first.
        patients = patients.agg({"positive": "any", "sex": "min"})
        coarse = patients["positive"].map(strata.KINDS)
        found = pd.DataFrame({"coarse": coarse, "fine": coarse + " " + patients["sex"]})
    return found, pd.DataFrame({"position": np.arange(len(labelled)), "unit": unit.to_numpy()})


def _drawn(labelled: pd.DataFrame, sex: pd.Series[str], settings: Split) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.argsort(labelled["image_id"].to_numpy(str))
    generator = np.random.default_rng(settings.seed)
    drawn = []
    for column in artifact.labels(labelled):
        members = order[labelled[column].to_numpy()[order] == 1]
        position = generator.choice(members, settings.rows_a_class, replace=True)
        drawn.append(pd.DataFrame({"position": position, "coarse": column.removeprefix(artifact.LABEL)}))
    rows = pd.concat(drawn, ignore_index=True)
    rows["fine"] = rows["coarse"] + " " + sex.to_numpy()[rows["position"]]
    rows["unit"] = rows["coarse"] + " " + rows.index.astype(str)
    return rows.set_index("unit")[["coarse", "fine"]], rows[["position", "unit"]]


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
    found = rows.groupby("fold")[artifact.labels(rows)].sum().reindex(FOLDS if binary else ["train"])
    sizes = rows["fold"].value_counts()
    lacking = [
        f"{fold}: no image of {sizes[fold]:,} is labelled "
        f"{' or '.join(repr(column.removeprefix(artifact.LABEL)) for column in found if images[column] == 0)}"
        for fold, images in found.iterrows()
        if (images == 0).any()
    ]
    if lacking:
        raise SplitError(
            f"{place}: a fold lacks a class ({'; '.join(lacking)})",
            f"images of each class in {'every' if binary else 'the training'} fold",
            "use more patients, other shares or another seed",
        )
