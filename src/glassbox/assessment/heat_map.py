"""The heat map of a grid: accuracy less the majority classifier's, by images and trained layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from glassbox.assessment.figures import INK, figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from glassbox.artifacts.cells import Cell

_RANKS = {1: "first", 2: "second", 3: "third"}


def draw(cells: Sequence[Cell], chosen: Sequence[Cell], path: Path) -> None:
    """Draws every cell with its value in percent; the chosen ones are framed, and named in the title.

    Args:
        cells: All that were trained; a place that was not is left white.
        chosen: Some of them, the best first.
        path: Where the PNG goes.
    """
    layers = sorted({cell.all_but_last for cell in cells})
    images = sorted({cell.images for cell in cells})
    values = np.full((len(images), len(layers)), np.nan)
    for cell in cells:
        values[images.index(cell.images), layers.index(cell.all_but_last)] = 100 * cell.relative
    # White is the majority classifier; above it blue, below it red.
    limit = max(float(np.nanmax(np.abs(values))), 1e-6)
    with figure(path, max(0.5 * len(layers) + 2.4, 5.0), max(0.36 * len(images) + 1.3, 2.6)) as drawn:
        axes = drawn.subplots()
        shown = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
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
        bar = drawn.colorbar(shown, ax=axes, label="% above the majority")
        bar.outline.set_visible(False)
