"""The cells of one row of a grid: short trainings on the same images, with more and more layers trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras

from glassbox.artifacts import cells, code
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.learning import initial, objective, phases, record, strategies
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.lesson import Lesson
from glassbox.params.experiments import AllButLastLayers

if TYPE_CHECKING:
    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.grids import Grid, Row

#: The finished cells of a row whose process was killed.
_FINISHED = "cells.json"


def train(recipe: PhaseRecipe, grid: Grid, row: Row, name: str) -> None:
    """Trains every cell of a row and writes it, a cell a number of trained layers.

    Each cell begins anew: from the experiment's seed and its initial weights. A killed row goes on with the epoch
    it was at, and ends in the same bytes.

    Args:
        recipe: The fine-tuning of the grid's experiment, with no grid's choice applied.
        grid: Epochs and steps of each cell.
        row: Images and layers of its cells.
        name: The row's key.

    Raises:
        ModelError: A cell cannot be trained as asked: more images than there are, more layers, or no finite loss.
        ArtifactError: The data or the weights are missing or damaged.
    """
    initial.prepare(recipe)
    with record.unfinished(Path("grid") / name, _made_from(recipe, grid, row)) as folder:
        stage = f"grid@{name}"
        finished = _read(folder / _FINISHED, stage)
        for all_but_last in row.all_but_last[len(finished) :]:
            checkpoint = Checkpoint(folder / f"{all_but_last}.npz")
            print(f"{name}: all but the last {all_but_last} layers frozen", flush=True)
            finished.append(_cell(recipe, grid, row.images, all_but_last, checkpoint))
            cells.write(folder / _FINISHED, finished, stage)
            checkpoint.path.unlink()
        cells.write(cells.row_path(row.grid, name), finished, stage)


def _made_from(recipe: PhaseRecipe, grid: Grid, row: Row) -> dict[str, object]:
    return {
        **record.data(recipe),
        "recipe": recipe.model_dump(mode="json"),
        "grid": grid.model_dump(mode="json", exclude={"choices"}),
        "row": row.model_dump(mode="json"),
        "code": code.read("grid").sha256,
    }


def _cell(recipe: PhaseRecipe, grid: Grid, images: int, all_but_last: int, checkpoint: Checkpoint) -> Cell:
    # The freezing is meant literally; a grid from random weights is refused with the parameters.
    changes = {
        "freeze": AllButLastLayers(all_but_last=all_but_last),
        "epochs": grid.epochs,
        "steps_per_epoch": grid.steps_per_epoch,
        "early_stopping": None,
    }
    training = recipe.training.model_copy(update={"images": images})
    of_cell = recipe.model_copy(update={"training": training, "phase": recipe.phase.model_copy(update=changes)})
    # Names that Keras numbers begin anew, and what the cell before took is free.
    keras.utils.clear_session()
    lesson = Lesson.of(of_cell)
    with strategies.scope(lesson.training):
        rows = phases.run(
            initial.build(of_cell, lesson),
            of_cell.phase,
            lesson,
            name="fine_tune",
            first_epoch=0,
            checkpoint=checkpoint,
            on_epoch=phases.say,
        )
    return Cell(
        images=images,
        all_but_last=all_but_last,
        val_accuracy=float(rows[-1]["val_accuracy"]),
        majority_accuracy=round(objective.majority_accuracy(lesson), 6),
    )


def _read(path: Path, stage: str) -> list[Cell]:
    """The finished cells; a table that is not there, or was damaged on the disk, is as none."""
    try:
        return cells.read(path, stage)
    except ArtifactError:
        return []
