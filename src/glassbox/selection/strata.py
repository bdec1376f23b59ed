"""Stratified draws: a part of some units, of each stratum by its share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.model_selection import train_test_split

from glassbox.selection.labels import columns, positive

if TYPE_CHECKING:
    from glassbox.params import Labels

#: The coarse strata, by whether a unit is positive.
KINDS = {False: "negative", True: "positive"}


def of_images(labelled: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """The strata of images, indexed by `image_id`, in their order.

    The fine one is the class, or, where an image has several, whether it has a finding, as is the coarse one.
    """
    coarse = positive(labelled).map(KINDS)
    one_hot = labels.task != "multi_label"
    fine = coarse + " " + labelled[columns(labelled)].idxmax(axis=1) if one_hot else coarse
    return pd.DataFrame({"coarse": coarse, "fine": fine}).set_index(labelled["image_id"])


def draw(strata: pd.DataFrame, size: float, seed: int) -> list[Any]:
    """Draws units by fine strata, or by coarse ones where there are too few units for the fine.

    Args:
        strata: One row a unit, with its strata as text: `coarse`, and `fine`, each of which lies within one
            coarse stratum; where a coarse one is split no further, both are the same.
        size: The share to draw, or the number of units as an int.
        seed: Seed of the draw.

    Returns:
        The drawn part of the index of `strata`.

    Raises:
        ValueError: There are too few units: a part would hold fewer than there are strata, or a stratum is one
            unit.
    """
    # A stratum of one unit cannot be on both sides: it joins the coarse one.
    fine = strata["fine"].where(strata["fine"].map(strata["fine"].value_counts()) > 1, strata["coarse"])
    units = strata.index.tolist()
    try:
        _, drawn = train_test_split(units, test_size=size, random_state=seed, stratify=fine.tolist())
    except ValueError:
        _, drawn = train_test_split(units, test_size=size, random_state=seed, stratify=strata["coarse"].tolist())
    return list(drawn)
