"""The label histogram of a split, before and after balancing, as a table and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import pandas as pd
from matplotlib.figure import Figure

from glassbox.artifacts.split import FOLDS, LABEL
from glassbox.files import atomic
from glassbox.selection.labels import columns

if TYPE_CHECKING:
    from pathlib import Path

#: The columns of a panel's counts, and its title.
Panels = tuple[tuple[str, str], ...]


def table(split: pd.DataFrame) -> pd.DataFrame:
    """One row a fold and class: `fold, class, patients, images, draws` (images before, draws after balancing).

    An image with several labels counts for each.
    """
    rows = [
        (
            fold,
            column.removeprefix(LABEL),
            chosen["patient_id"].nunique(),
            len(chosen),
            int(chosen["draws"].sum()),
        )
        for fold in FOLDS
        for column in columns(split)
        for chosen in [split[(split["fold"] == fold) & (split[column] == 1)]]
    ]
    return pd.DataFrame(rows, columns=["fold", "class", "patients", "images", "draws"])


def draw(counts: pd.DataFrame, path: Path) -> None:
    """Draws the counts of `table` as a PNG: one panel before and one after balancing."""
    panels = (("images", "Images, before balancing"), ("draws", "Shown in an epoch, after balancing"))
    figure = _by_fold(counts, panels) if counts["class"].nunique() == 2 else _by_class(counts, panels)
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def _by_fold(counts: pd.DataFrame, panels: Panels) -> Figure:
    """Of two classes: their bars side by side in each fold."""
    figure = Figure(figsize=(8, 3.4), dpi=100, layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        wide = counts.pivot_table(index="fold", columns="class", values=column, sort=False)
        wide.plot.bar(ax=axes, rot=0, color=["#4c78a8", "#e45756"], width=0.8, legend=column == "images")
        for bars in axes.containers:
            axes.bar_label(bars, fontsize=8)
        axes.set(title=title, xlabel="", ylabel="images")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _by_class(counts: pd.DataFrame, panels: Panels) -> Figure:
    """Of many classes: a line each, its folds below one another, counts on a logarithmic scale from 1."""
    figure = Figure(figsize=(10, 1.2 + 0.5 * counts["class"].nunique()), dpi=100, layout="constrained")
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (column, title) in zip(both, panels, strict=True):
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
