"""Strata: who falls to a fold or into a sample, of each stratum by its share, in the order of keyed hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from glassbox.keyed import Purpose, ranks
from glassbox.selection.labels import columns, positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params.splits import Labels

#: The coarse strata, by whether a unit is positive.
KINDS = {False: "negative", True: "positive"}
#: The fold of the units that no share is cut for.
REST = "train"


def of_images(labelled: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """The strata of images, indexed by `image_id`, in their order.

    The fine one is the class, or, where an image has several, whether it has a finding, as is the coarse one.
    """
    coarse = positive(labelled).map(KINDS)
    one_hot = labels.task != "multi_label"
    fine = coarse + " " + labelled[columns(labelled)].idxmax(axis=1) if one_hot else coarse
    return pd.DataFrame({"coarse": coarse, "fine": fine}).set_index(labelled["image_id"])


def cut(strata: pd.DataFrame, shares: dict[str, float], seed: int) -> pd.Series[str]:
    """Deals units out to folds.

    The units of a fine stratum stand in one line, by their hashes. The first fold takes its share from the head of
    it, rounded half up, the next its share of those that remain, and so on. So one unit more or less moves each
    border in its line by one place at most: one other unit at most enters a fold, and one leaves it.

    Where fine strata are so small that a fold would have no unit of a coarse one, the largest fold gives it one
    from the line that has most of its units. That, too, moves no border by more than a place, but may do so in two
    lines.

    Args:
        strata: One row a unit, indexed by its id, with its strata as text: `coarse`, of which each has a unit for
            every fold, and `fine`, each of which lies within one coarse stratum.
        shares: Fold -> share of the units that the folds before it leave; from 0 to 1.
        seed: Seed of the lines.

    Returns:
        The fold of each unit, in the order of `strata`: one of `shares`, or `REST`.
    """
    by_hash = strata.iloc[np.argsort(ranks(strata.index.tolist(), Purpose.FOLD, seed))]
    dealt = [pd.Series(REST, index=strata.index[:0])]
    for _, units in by_hash.groupby("coarse"):
        lines = [line.index for _, line in units.groupby("fine")]
        quotas = _quotas(np.array([len(line) for line in lines]), list(shares.values()))
        dealt += [
            pd.Series(np.repeat([*shares, REST], quota), index=line)
            for line, quota in zip(lines, quotas, strict=True)
        ]
    return pd.concat(dealt)[strata.index]


def _quotas(sizes: NDArray[np.int64], shares: list[float]) -> NDArray[np.int64]:
    """How many units of each line fall to each fold and, last, to the rest: int64 (lines, shares + 1)."""
    left = sizes.copy()
    taken = []
    for share in shares:
        taken.append(np.floor(share * left + 0.5).astype(np.int64))
        left -= taken[-1]
    quotas = np.stack([*taken, left], axis=1)
    for fold in np.flatnonzero(quotas.sum(axis=0) == 0):
        largest = quotas.sum(axis=0).argmax()
        line = quotas[:, largest].argmax()
        quotas[line, [largest, fold]] += [-1, 1]
    return quotas


def sample(strata: pd.DataFrame, size: int, seed: int) -> NDArray[np.bool_]:
    """Whether each unit is in a sample of `size` of them: bool (N,), in the order of `strata`.

    Of each fine stratum the first by their hashes are in, as many as the method of Webster (Sainte-Laguë) gives it
    of the seats: the i-th of n units, counted from 0, stands at (i + 1/2) / n, and who stands first is in. Unlike
    the largest remainder's, its seats never pass between two strata because a third has changed: one unit less
    lets one other in, where it was in, and lets one stratum's last make way for another's next at most.
    """
    by_hash = strata.iloc[np.argsort(ranks(strata.index.tolist(), Purpose.SAMPLE, seed))]
    lines = by_hash.groupby("fine")["fine"]
    # A stable sort: strata whose units stand at the same place take turns by hash.
    places = ((lines.cumcount() + 0.5) / lines.transform("size")).sort_values(kind="stable")
    drawn: NDArray[np.bool_] = strata.index.isin(places.index[:size])
    return drawn
