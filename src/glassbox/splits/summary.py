"""What is told of a split: the counts of its classes, what its folds share, and its pixels' mean and deviation."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from glassbox.artifacts import split as artifact
from glassbox.artifacts.leaks import Leak
from glassbox.artifacts.split import FOLDS
from glassbox.files import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from glassbox.artifacts.shards import Images

#: Images whose pixels are in memory at once.
_BATCH = 256
#: Of the plot: the column of its counts, and its title.
_PANELS = (("images", "Images, before balancing"), ("draws", "Shown in an epoch, after balancing"))


def statistics(images: Images, positions: NDArray[np.int64]) -> artifact.Statistics:
    """Mean and population standard deviation in grey levels (0-255) over all pixels of some images.

    The sums are integers, so that the figures are the same on every machine.
    """
    total = squares = 0
    for start in range(0, len(positions), _BATCH):
        batch = images.gather(positions[start : start + _BATCH])
        counts = np.bincount(batch.ravel(), minlength=256).tolist()
        total += sum(level * count for level, count in enumerate(counts))
        squares += sum(level * level * count for level, count in enumerate(counts))
    pixels = len(positions) * images.size**2
    variance = (pixels * squares - total * total) / pixels**2
    return artifact.Statistics(len(positions), total / pixels, math.sqrt(variance))


def leaks(split: pd.DataFrame) -> list[Leak]:
    """Counts what each pair of folds has in common.

    Args:
        split: Columns `image_id`, `patient_id`, `source_sha256` (of the image file) and `fold`; one row an image
            and fold, so that an image is in several folds by several rows, however often each shows it.

    Returns:
        One a pair and kind: how many distinct patients, images or identical files (by SHA-256; a shared image is
        one, too) are found in both folds.
    """
    columns = {"patients": "patient_id", "images": "image_id", "identical_files": "source_sha256"}
    held = split.groupby("fold")[list(columns.values())].agg(set)
    return [
        Leak(folds=f"{one}-{other}", what=what, shared=len(held.loc[one, column] & held.loc[other, column]))
        for what, column in columns.items()
        for one, other in combinations(FOLDS, 2)
    ]


def classes(split: pd.DataFrame) -> pd.DataFrame:
    """One row a fold and class: `fold, class, patients, images, draws` (images before, draws after balancing).

    An image with several labels counts for each.
    """
    rows = []
    for fold in FOLDS:
        for column in artifact.labels(split):
            own = split[(split["fold"] == fold) & (split[column] == 1)]
            name = column.removeprefix(artifact.LABEL)
            rows.append((fold, name, own["patient_id"].nunique(), len(own), int(own["draws"].sum())))
    return pd.DataFrame(rows, columns=["fold", "class", "patients", "images", "draws"])


def plot(counts: pd.DataFrame, path: Path) -> None:
    """Plots the counts of `classes` as a PNG: one panel before and one after balancing."""
    figure = _by_fold(counts) if counts["class"].nunique() == 2 else _by_class(counts)
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def _by_fold(counts: pd.DataFrame) -> Figure:
    """Of two classes: their bars side by side in each fold."""
    figure = Figure(figsize=(8, 3.4), dpi=100, layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, 2, sharey=True), _PANELS, strict=True):
        wide = counts.pivot_table(index="fold", columns="class", values=column, sort=False)
        wide.plot.bar(ax=axes, rot=0, color=["#4c78a8", "#e45756"], width=0.8, legend=column == "images")
        for bars in axes.containers:
            axes.bar_label(bars, fontsize=8)
        axes.set(title=title, xlabel="", ylabel="images")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _by_class(counts: pd.DataFrame) -> Figure:
    """Of many classes: a line each, its folds below one another, counts on a logarithmic scale from 1."""
    figure = Figure(figsize=(10, 1.2 + 0.5 * counts["class"].nunique()), dpi=100, layout="constrained")
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (column, title) in zip(both, _PANELS, strict=True):
        wide = counts.pivot_table(index="class", columns="fold", values=column, sort=False)
        wide.plot.barh(ax=axes, color=["#4c78a8", "#f58518", "#54a24b"], width=0.8, legend=False)
        for bars in axes.containers:
            axes.bar_label(bars, fmt="{:,.0f}", fontsize=7, padding=2)
        axes.set(title=title, xlabel="images", ylabel="")
        # Linear below 1, where a class without an image is.
        axes.set_xscale("symlog", linthresh=1)
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    both[0].invert_yaxis()
    figure.legend(
        *both[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(FOLDS), frameon=False
    )
    return figure
