"""What falls to a fold as a whole: patients, or, as published procedures had it, images or drawn rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from glassbox.artifacts.split import LABEL
from glassbox.selection import strata
from glassbox.selection.labels import columns, positive

if TYPE_CHECKING:
    from glassbox.params.splits import Split


class Units(NamedTuple):
    """The units that a procedure deals out to folds.

    Attributes:
        strata: One row a unit, indexed by its id, with the strata it is dealt out by, as `strata.cut` takes them.
        rows: The units' rows: `position` of the row, from 0, and its `unit` in the index of `strata`. A row is
            in several units, or none, where rows were drawn.
    """

    strata: pd.DataFrame
    rows: pd.DataFrame


def units(labelled: pd.DataFrame, settings: Split) -> Units:
    """The units of a split's procedure.

    * `by_patient`: patients, stratified by whether any image is positive, and by sex.
    * `by_image` (as an MIT class report split NIH): images, so that a patient may be in several folds; stratified
      by class, or, where an image has several, by whether it has a finding.
    * `rows_with_replacement` (as Intel's article of 2018 did): of each class `rows_a_class` rows that are drawn
      with replacement, so that an image may be in several folds; stratified by the class that a row was drawn
      for, and by sex.

    Units and their strata do not depend on the order of the rows, nor, but for drawn rows, on other units.
    """
    return {"by_patient": _patients, "by_image": _images, "rows_with_replacement": _draws}[settings.procedure](
        labelled, settings
    )


def _patients(labelled: pd.DataFrame, _: Split) -> Units:
    patients = pd.DataFrame({"positive": positive(labelled), "sex": _sex(labelled)})
    # Of two sexes that tables give one patient the first by the alphabet counts, whichever film comes first.
    patients = patients.groupby(labelled["patient_id"]).agg({"positive": "any", "sex": "min"})
    coarse = patients["positive"].map(strata.KINDS)
    return Units(
        pd.DataFrame({"coarse": coarse, "fine": coarse + " " + patients["sex"]}),
        pd.DataFrame({"position": np.arange(len(labelled)), "unit": labelled["patient_id"].to_numpy()}),
    )


def _images(labelled: pd.DataFrame, settings: Split) -> Units:
    return Units(
        strata.of_images(labelled, settings.labels),
        pd.DataFrame({"position": np.arange(len(labelled)), "unit": labelled["image_id"].to_numpy()}),
    )


def _draws(labelled: pd.DataFrame, settings: Split) -> Units:
    order = np.argsort(labelled["image_id"].to_numpy(str))
    generator = np.random.default_rng(settings.seed)
    drawn = [
        pd.DataFrame(
            {
                "position": generator.choice(
                    order[labelled[column].to_numpy()[order] == 1], settings.rows_a_class, replace=True
                ),
                "coarse": column.removeprefix(LABEL),
            }
        )
        for column in columns(labelled)
    ]
    rows = pd.concat(drawn, ignore_index=True)
    rows["fine"] = rows["coarse"] + " " + _sex(labelled).to_numpy()[rows["position"]]
    rows["unit"] = rows["coarse"] + " " + rows.index.astype(str)
    return Units(rows.set_index("unit")[["coarse", "fine"]], rows[["position", "unit"]])


def _sex(labelled: pd.DataFrame) -> pd.Series[str]:
    return labelled["sex"].fillna("unknown")
