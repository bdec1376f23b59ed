"""Strata: who falls to a fold or a sample, of each by its share, and who is shown how often, by keyed hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from glassbox.artifacts import split as artifact
from glassbox.keyed import Purpose, ranks
from glassbox.splits.labels import positive

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
    fine = coarse + " " + labelled[artifact.labels(labelled)].idxmax(axis=1) if one_hot else coarse
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
    sampled: NDArray[np.bool_] = strata.index.isin(places.index[:size])
    return sampled


def draws(
    images: list[str],
    labels: NDArray[np.uint8],
    balance: int | Literal["largest", "smallest", "none"],
    seed: int,
) -> NDArray[np.int32]:
    """How often each image is shown in an epoch; int32 (N,).

    Of a class all images are shown equally often, but for a remainder of which those that come first by their
    hashes are shown once more; of a class with more images than asked for only those are shown. So an image that
    leaves gives its draws to others of its class, one that comes takes its own from them, and nothing else
    changes, as long as the class is shown as often as before.

    Args:
        images: The images' ids, N of them.
        labels: uint8 (N, classes), one-hot unless balance is `none`; no class is without an image.
        balance: Images of each class in an epoch: a number, that of the `largest` or `smallest` class, or
            `none` for every image once.
        seed: Seed of the hashes.
    """
    shown = np.ones(len(labels), np.int32)
    if balance == "none":
        return shown
    by_hash = np.argsort(ranks(images, Purpose.DRAWS, seed))
    members = [by_hash[column[by_hash] == 1] for column in labels.T]
    sizes = [len(own) for own in members]
    target = {"largest": max(sizes), "smallest": min(sizes)}.get(str(balance)) or int(balance)
    for own in members:
        each, remainder = divmod(target, len(own))
        shown[own] = each
        shown[own[:remainder]] += 1
    return shown
