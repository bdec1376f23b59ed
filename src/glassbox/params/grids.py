"""A grid over the trained layers c and the images s, and its rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, NonNegativeInt, PositiveInt

from glassbox.params.base import Frozen, Key


def _some_and_different(counts: tuple[int, ...]) -> tuple[int, ...]:
    if not counts:
        raise ValueError("one number at least is needed")
    if len(set(counts)) < len(counts):
        raise ValueError("a number is named twice")
    return counts


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
    #: The experiment of the grid, with its split and weights: what the row is built from.
    experiment: Key
    split: Key
    weights: Key
    #: `training.images` of every cell.
    images: PositiveInt
    #: `freeze: {all_but_last: c}` of each cell.
    all_but_last: Annotated[tuple[NonNegativeInt, ...], AfterValidator(_some_and_different)]
