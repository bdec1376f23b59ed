"""The label histogram of a split, before and after balancing, as a table and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import pandas as pd
from matplotlib.figure import Figure

from glassbox.files import atomic
from glassbox.layout import LABEL
from glassbox.selection.folds import FOLDS

if TYPE_CHECKING:
    from pathlib import Path


def table(split: pd.DataFrame) -> pd.DataFrame:
    """One row a fold and class: `fold, class, patients, images, draws` (images before, draws after balancing)."""
    columns = [column for column in split if column.startswith(LABEL)]
    rows = [
        (
            fold,
            column.removeprefix(LABEL),
            chosen["patient_id"].nunique(),
            len(chosen),
            int(chosen["draws"].sum()),
        )
        for fold in FOLDS
        for column in columns
        for chosen in [split[(split["fold"] == fold) & (split[column] == 1)]]
    ]
    return pd.DataFrame(rows, columns=["fold", "class", "patients", "images", "draws"])


def draw(counts: pd.DataFrame, path: Path) -> None:
    """Draws the counts of `table` as a PNG: one panel before and one after balancing."""
    figure = Figure(figsize=(8, 3.4), dpi=100, layout="constrained")
    for axes, column, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("images", "draws"),
        ("Images, before balancing", "Shown in an epoch, after balancing"),
        strict=True,
    ):
        wide = counts.pivot_table(index="fold", columns="class", values=column, sort=False)
        wide.plot.bar(ax=axes, rot=0, color=["#4c78a8", "#e45756"], width=0.8, legend=column == "images")
        for bars in axes.containers:
            axes.bar_label(bars, fontsize=8)
        axes.set(title=title, xlabel="", ylabel="images")
        axes.spines[["top", "right"]].set_visible(False)
    with atomic(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
