"""The history of a training: one row an epoch, numbered through both phases."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from glassbox.artifacts.damage import bytes_of
from glassbox.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

#: One finished epoch: `epoch` int, `phase` `warm_start` or `fine_tune`, and curves, NaN where there is no value.
Row = dict[str, float | int | str]
COLUMNS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate")


def write(rows: list[Row], path: Path) -> None:
    """Writes a history as CSV; one without epochs has its header only. Its record holds its SHA-256."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in rows
    )
    write_text(path, text.getvalue())


def read(path: Path, sha256: str, stage: str) -> list[Row]:
    """The rows of a history that `write` wrote.

    Args:
        path: The file.
        sha256: What its record says it has.
        stage: The stage that makes it, for messages.

    Raises:
        ArtifactError: It is missing, or another one.
    """
    content = bytes_of(path, sha256, stage)
    return [_typed(row) for row in csv.DictReader(io.StringIO(content.decode()))]


def _typed(row: dict[str, str]) -> Row:
    numbers: Row = {
        name: float(value) if value else math.nan for name, value in row.items() if name not in ("epoch", "phase")
    }
    return {"epoch": int(row["epoch"]), "phase": row["phase"], **numbers}
