"""A grid over the trained layers c and the images s, its rows, and the cell of it that an experiment takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, NonNegativeInt, PositiveInt

from glassbox.params.base import Frozen, Key

#: Holds an empty list, so that nothing is chosen: DVC cannot let a stage depend on a file in one experiment and on
#: none in another.
NO_CHOICE = Path("conf/choice/none.json")


def _some_and_different(counts: tuple[int, ...]) -> tuple[int, ...]:
    if not counts:
        raise ValueError("one number at least is needed")
    if len(set(counts)) < len(counts):
        raise ValueError("a number is named twice")
    return counts


class Choice(Frozen):
    """The cell of a grid whose images and frozen layers an experiment is trained with, in place of its own."""

    #: What the choose stage of a grid writes, or `NO_CHOICE`.
    file: Path = NO_CHOICE
    #: Which of the file's cells: 1 is the best.
    rank: PositiveInt = 1


class Grid(Frozen):
    """Short trainings of an experiment, each with other layers frozen and on other images, to choose between."""

    #: Whose network, weights, augmentation, optimiser and loss the cells have.
    experiment: Key
    epochs: PositiveInt
    steps_per_epoch: PositiveInt
    #: How many of the best cells are written down.
    choices: PositiveInt


class Row(Frozen):
    """The cells of a grid on one number of images, which share a process and its start-up."""

    grid: Key
    #: The experiment of the grid, with its dataset, split and weights: what the row is built from.
    experiment: Key
    dataset: Key
    split: Key
    weights: Key
    #: `training.images` of every cell.
    images: PositiveInt
    #: `freeze: {all_but_last: c}` of each cell.
    all_but_last: Annotated[tuple[NonNegativeInt, ...], AfterValidator(_some_and_different)]
