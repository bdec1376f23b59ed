"""The choose stage: the cells of a grid in; its best ones as data, its table and its heat map out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from glassbox.artifacts import cells
from glassbox.artifacts.damage import ArtifactError
from glassbox.evaluation.figures import INK, figure
from glassbox.files import atomic, sha256_file, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from glassbox.artifacts.cells import Cell
    from glassbox.params.grids import Grid

_RANKS = {1: "first", 2: "second", 3: "third"}


def choose(settings: Grid, grid: str) -> None:
    """Writes the best cells of a grid as data, and its table and heat map to `metrics/grids/`.

    Raises:
        ArtifactError: The trained cells are missing, damaged, or others than the grid's.
    """
    path, stage = cells.grid_path(grid), f"grid@{grid}"
    trained = cells.read(path, stage)
    if [_place(cell) for cell in trained] != settings.cells:
        raise ArtifactError(path, "holds other cells than the grid in params.yaml", stage)
    chosen = ranked(trained)[: settings.choices]
    with atomic(cells.heat_map_path(grid).parent) as folder:
        folder.mkdir()
        write_text(folder / table_path(grid).name, table(trained, chosen))
        plot(trained, chosen, folder / "heat_map.png")
        plotted = sha256_file(folder / "heat_map.png")
    cells.write(cells.choice_path(grid), chosen, f"choose@{grid}", heat_map_sha256=plotted)


def table_path(grid: str) -> Path:
    """Where the table of a grid lies, in git."""
    return cells.heat_map_path(grid).with_name("grid.csv")


def table(trained: Sequence[Cell], chosen: Sequence[Cell]) -> str:
    """The fields of every cell, `relative`, and the rank of those that were chosen, as CSV."""
    ranks = {_place(cell): rank for rank, cell in enumerate(chosen, start=1)}
    rows = pd.DataFrame(
        {**cell.model_dump(), "relative": cell.relative, "choice": ranks.get(_place(cell), "")} for cell in trained
    )
    return str(rows.to_csv(index=False, lineterminator="\n"))


def ranked(trained: Iterable[Cell]) -> list[Cell]:
    """Cells by how far they are above the majority classifier; of equals the fewer images, then layers, first."""
    return sorted(trained, key=lambda cell: (-cell.relative, *_place(cell)))


def _place(cell: Cell) -> tuple[int, int]:
    return cell.images, cell.all_but_last


def plot(trained: Sequence[Cell], chosen: Sequence[Cell], path: Path) -> None:
    """Plots accuracy less the majority classifier's, in percent, by images and trained layers.

    Args:
        trained: All cells of a grid, the smallest first.
        chosen: Some of them, the best first: they are framed, and named in the title.
        path: Where the PNG goes.
    """
    layers = sorted({cell.all_but_last for cell in trained})
    images = sorted({cell.images for cell in trained})
    values = 100 * np.array([cell.relative for cell in trained]).reshape(len(images), len(layers))
    # White is the majority classifier; above it blue, below it red.
    limit = max(float(np.abs(values).max()), 1e-6)
    with figure(path, max(0.5 * len(layers) + 2.4, 5.0), max(0.36 * len(images) + 1.3, 2.6)) as plotted:
        axes = plotted.subplots()
        shown = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            colour = "white" if abs(value) > 0.65 * limit else INK
            axes.text(column, row, f"{value:+z.1f}", ha="center", va="center", color=colour, fontsize=7.5)
        for cell in chosen:
            corner = (layers.index(cell.all_but_last) - 0.44, images.index(cell.images) - 0.44)
            frame = Rectangle(corner, 0.88, 0.88, fill=False, edgecolor=INK, linewidth=1.6)
            # A dark cell needs a light frame around the dark one.
            frame.set_path_effects([withStroke(linewidth=4.0, foreground="white")])
            axes.add_patch(frame)
        named = [
            f"{_RANKS.get(rank, f'choice {rank}')} c = {cell.all_but_last}, s = {cell.images:,}"
            for rank, cell in enumerate(chosen, start=1)
        ]
        axes.set_xticks(range(len(layers)), [str(count) for count in layers])
        axes.set_yticks(range(len(images)), [f"{count:,}" for count in images])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="c: trained layers that have parameters", ylabel="s: training images")
        axes.set_title(f"Framed: {'; '.join(named)}", wrap=True)
        bar = plotted.colorbar(shown, ax=axes, label="% above the majority")
        bar.outline.set_visible(False)
