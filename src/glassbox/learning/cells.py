"""The cells of a grid: what was trained of it, as tables and as the choice that is made of them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt, PositiveInt

from glassbox.files import write_text
from glassbox.params.base import Frozen, Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_DECIMALS = 6


class Cell(Frozen):
    """One short training of a grid, judged on the validation fold."""

    #: Images of the training fold that were trained on.
    images: PositiveInt
    #: Layers of the backbone that were trained, of those that have parameters.
    all_but_last: NonNegativeInt
    val_accuracy: Share
    #: The accuracy of the best answer that is the same for every image.
    majority_accuracy: Share

    @property
    def relative(self) -> float:
        """Accuracy less that of the majority classifier."""
        return round(self.val_accuracy - self.majority_accuracy, _DECIMALS)


def write(cells: Iterable[Cell], path: Path, chosen: Sequence[Cell] | None = None) -> None:
    """Writes cells as CSV: the fields of a `Cell` and `relative`, in the order given.

    Args:
        cells: What was trained.
        path: Where the table goes.
        chosen: Some of them, the best first: their ranks fill a column `choice`. None leaves it out.
    """
    rows: list[dict[str, object]] = []
    for cell in cells:
        row: dict[str, object] = cell.model_dump() | {"relative": cell.relative}
        if chosen is not None:
            row["choice"] = chosen.index(cell) + 1 if cell in chosen else ""
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read(path: Path) -> list[Cell]:
    """The cells of a table that `write` wrote.

    Raises:
        ValueError: The table is damaged.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Cell.model_validate({name: row.get(name) for name in Cell.model_fields})
            for row in csv.DictReader(stream)
        ]
