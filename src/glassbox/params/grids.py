"""A grid over the trained layers c and the images s."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Self

from pydantic import AfterValidator, NonNegativeInt, PositiveInt, model_validator

from glassbox.params.base import Frozen, Key


def _some_and_different(counts: tuple[int, ...]) -> tuple[int, ...]:
    if not counts:
        raise ValueError("one number at least is needed")
    if len(set(counts)) < len(counts):
        raise ValueError("a number is named twice")
    return counts


_Different = AfterValidator(_some_and_different)


class Grid(Frozen):
    """Short trainings of an experiment, each with other layers frozen and on other images, to choose between."""

    #: Whose network, weights, augmentation, optimiser and loss the cells have.
    experiment: Key
    #: The experiment's own, named here for dvc.yaml, which cannot look them up.
    split: Key
    weights: Key
    #: `training.images` and `freeze: {all_but_last: c}`: a cell for each pair.
    images: Annotated[tuple[PositiveInt, ...], _Different]
    all_but_last: Annotated[tuple[NonNegativeInt, ...], _Different]
    epochs: PositiveInt
    steps_per_epoch: PositiveInt
    #: How many of the best cells are written down.
    choices: PositiveInt

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Images and trained layers of every cell, the smallest first."""
        return sorted(product(self.images, self.all_but_last))

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.choices > len(self.cells):
            raise ValueError(f"choices is {self.choices}; images and all_but_last make {len(self.cells)} cells")
        return self
