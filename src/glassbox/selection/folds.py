"""Patient-disjoint folds, stratified by label and sex."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from glassbox.errors import SplitError

if TYPE_CHECKING:
    from glassbox.params import Split

FOLDS = ("train", "validation", "test")


def assign(rows: pd.DataFrame, positive: pd.Series[bool], settings: Split, place: str) -> pd.Series[str]:
    """The fold of each row; all images of a patient fall to one fold.

    The test fold is the archive's own test list, or a share of the patients; the validation fold is a share of
    the patients that remain.

    Raises:
        SplitError: There is no official list where one is asked for, a patient of it is also outside of it,
            there are too few patients, or a fold lacks a class.
    """
    patients = pd.DataFrame({"positive": positive, "sex": rows["sex"].fillna("unknown")})
    patients = patients.groupby(rows["patient_id"]).agg({"positive": "any", "sex": "first"}).sort_index()
    if settings.official_test:
        test = _official(rows, place)
    else:
        test = _draw(patients, settings.test, settings.seed, f"{place}.test")
    validation = _draw(
        patients.drop(index=sorted(test)), settings.validation, settings.seed + 1, f"{place}.validation"
    )
    fold = np.select(
        [rows["patient_id"].isin(test), rows["patient_id"].isin(validation)], ["test", "validation"], "train"
    )
    found = pd.crosstab(fold, positive.to_numpy()).reindex(index=FOLDS, columns=[False, True], fill_value=0)
    if (found == 0).any(axis=None):
        counts = "; ".join(f"{name}: {n[False]} negative, {n[True]} positive" for name, n in found.iterrows())
        raise SplitError(
            f"{place}: a fold lacks a class ({counts})",
            "images of both classes in every fold",
            "use more patients, other shares or another seed",
        )
    return pd.Series(fold, index=rows.index)


def _official(rows: pd.DataFrame, place: str) -> set[str]:
    official = rows["official_split"] == "test"
    if not official.any() or official.all():
        raise SplitError(
            f"{place}: {int(official.sum()):,} of {len(rows):,} images are in the official test list",
            "some of them, not all",
            f"use an archive with its test list, or set {place}.official_test to false",
        )
    test = set(rows.loc[official, "patient_id"])
    if both := sorted(test & set(rows.loc[~official, "patient_id"])):
        raise SplitError(
            f"{place}: {len(both):,} patients of the official test list have images outside of it: "
            f"{', '.join(both[:3])}{' ...' if len(both) > 3 else ''}",
            "an official list that separates patients",
            f"set {place}.official_test to false to cut a test fold by patient",
        )
    return test


def _draw(patients: pd.DataFrame, share: float, seed: int, place: str) -> set[str]:
    """A share of the patients, stratified by label and sex, or by label where there are too few for both."""
    label = patients["positive"].astype(str)
    both = label + " " + patients["sex"]
    # A stratum of one patient cannot be on both sides: it joins the others of its label.
    both = both.where(both.map(both.value_counts()) > 1, label)
    for strata in (both, label):
        try:
            _, drawn = train_test_split(
                patients.index.tolist(), test_size=share, random_state=seed, stratify=strata.tolist()
            )
        except ValueError:  # fewer patients on a side than strata, or a stratum of one
            continue
        return set(drawn)
    raise SplitError(
        f"{place}: {len(patients):,} patients ({int(patients['positive'].sum()):,} of them positive) are too "
        f"few to draw a share of {share:g}",
        "at least one patient of each class on either side",
        "use more patients or another share",
    )
