"""The choice of a grid, taken by an experiment in place of its own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic

from glassbox.errors import ModelError
from glassbox.learning.cells import Cell

if TYPE_CHECKING:
    from glassbox.params import Params


def applied(params: Params, experiment: str) -> Params:
    """The parameters as an experiment runs: with the images and frozen layers of the cell that it names.

    A file with no cells leaves them as they are.

    Raises:
        ModelError: The file holds no list of cells, or fewer than the rank.
        FileNotFoundError: There is no such file.
    """
    choice = params.experiments[experiment].choice
    place = f"experiments.{experiment}.choice"
    try:
        cells = pydantic.TypeAdapter(list[Cell]).validate_json(choice.file.read_bytes())
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(
            f"{place}.file: {choice.file} is no choice: {f'{where}: ' if where else ''}{first['msg']}",
            f"a JSON list of cells, each with {', '.join(Cell.model_fields)}",
            f"mend the file, or run `dvc repro choose@{choice.file.stem}` where a grid writes it",
        ) from None
    if not cells:
        return params
    if choice.rank > len(cells):
        raise ModelError(
            f"{place}.rank: {choice.rank} of {len(cells)} in {choice.file}",
            f"a rank from 1 to {len(cells)}",
            f"lower {place}.rank, or raise the grid's choices",
        )
    cell = cells[choice.rank - 1]
    return params.with_cell(experiment, cell.images, cell.all_but_last)
