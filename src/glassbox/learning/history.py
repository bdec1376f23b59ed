"""The history of a training: one row an epoch, numbered through both phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pandas as pd

from glassbox.files import atomic

if TYPE_CHECKING:
    from pathlib import Path

#: One finished epoch.
Row = dict[str, float | int | str]
COLUMNS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate")


def write(rows: list[Row], path: Path) -> None:
    """Writes a history as CSV; one without epochs has its header only."""
    with atomic(path) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(temporary, index=False, lineterminator="\n")


def read(path: Path) -> list[Row]:
    """The rows of a history that `write` wrote."""
    return cast("list[Row]", pd.read_csv(path).to_dict("records"))


def say(row: Row) -> None:
    """Prints a row as one line."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float))
    print(f"{row['phase']} epoch {row['epoch']}: {figures}", flush=True)
