"""The cells of one row of a grid: short trainings on the same images, with more and more layers trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from glassbox import layout
from glassbox.learning import cells, history, initial, objective, phases, strategies
from glassbox.learning.cells import Cell
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.lesson import Lesson
from glassbox.learning.record import unfinished_row

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params import Params

#: The finished cells of a row whose process was killed.
_FINISHED = "cells.csv"


def train(params: Params, name: str) -> None:
    """Trains every cell of a row and writes `layout.row(...)`, a line a cell.

    Each cell begins anew: from the experiment's seed and its initial weights. A killed row goes on with the epoch
    it was at, and ends in the same bytes.

    Raises:
        ModelError: A cell cannot be trained as asked: more images than there are, more layers, or no finite loss.
    """
    row = params.rows[name]
    with unfinished_row(params, name) as folder:
        finished = _read(folder / _FINISHED)
        for all_but_last in row.all_but_last[len(finished) :]:
            checkpoint = Checkpoint(folder / f"{all_but_last}.npz")
            print(f"{name}: all but the last {all_but_last} layers frozen", flush=True)
            finished.append(_cell(params, name, all_but_last, checkpoint))
            cells.write(finished, folder / _FINISHED)
            checkpoint.path.unlink()
        cells.write(finished, layout.row(row.grid, name))


def _cell(params: Params, name: str, all_but_last: int, checkpoint: Checkpoint) -> Cell:
    row = params.rows[name]
    grid = params.grids[row.grid]
    of_cell = params.with_cell(row.experiment, row.images, all_but_last)
    # Names that Keras numbers begin anew, and what the cell before took is free.
    keras.utils.clear_session()
    lesson = Lesson.of(of_cell, row.experiment)
    # The freezing is meant literally; a grid from random weights is refused with the parameters.
    phase = of_cell.experiments[row.experiment].fine_tune.model_copy(
        update={"epochs": grid.epochs, "steps_per_epoch": grid.steps_per_epoch, "early_stopping": None}
    )
    with strategies.scope(lesson.training):
        rows = phases.run(
            initial.build(of_cell, row.experiment, lesson),
            phase,
            lesson,
            name="fine_tune",
            first_epoch=0,
            checkpoint=checkpoint,
            on_epoch=history.say,
        )
    return Cell(
        images=row.images,
        all_but_last=all_but_last,
        val_accuracy=float(rows[-1]["val_accuracy"]),
        majority_accuracy=round(objective.majority_accuracy(lesson), 6),
    )


def _read(path: Path) -> list[Cell]:
    """The finished cells; a table that is not there, or was damaged on the disk, is as none."""
    try:
        return cells.read(path)
    except (OSError, ValueError):
        return []
