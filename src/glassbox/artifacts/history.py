"""The history of a training: one row an epoch, numbered through both phases."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

from glassbox.artifacts.damage import bytes_of
from glassbox.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

#: One finished epoch: `epoch` int, `phase` `warm_start` or `fine_tune`, and curves, NaN where there is no value.
Epoch = dict[str, float | int | str]
COLUMNS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "val_roc_auc", "learning_rate")
_TYPES = dict.fromkeys(COLUMNS, "float64") | {"epoch": "int64", "phase": "str"}


def write(epochs: list[Epoch], path: Path) -> None:
    """Writes a history as CSV; one without epochs has its header only. Its record holds its SHA-256."""
    import pandas as pd

    write_text(path, pd.DataFrame(epochs, columns=COLUMNS).to_csv(index=False, lineterminator="\n"))


def read(path: Path, sha256: str, stage: str) -> list[Epoch]:
    """The epochs of a history that `write` wrote and of which its record says what SHA-256 it has."""
    import pandas as pd

    content = io.BytesIO(bytes_of(path, sha256, stage))
    rows = pd.read_csv(content, dtype=_TYPES)
    return cast("list[Epoch]", rows.to_dict("records"))
