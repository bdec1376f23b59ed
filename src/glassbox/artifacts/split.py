"""A split on disk: one table a fold, and the mean and deviation of the training fold's pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from glassbox.artifacts import document, table
from glassbox.artifacts.damage import ArtifactError, sha256_of
from glassbox.files import atomic
from glassbox.paths import DATA

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

FOLDS = ("train", "validation", "test")
#: Prefix of the label columns; the class name follows.
LABEL = "label_"
_BEFORE = [("image_id", pa.string()), ("patient_id", pa.string())]
_AFTER = [("draws", pa.int32()), ("source_sha256", pa.string()), ("pixels_sha256", pa.string())]


class Statistics(NamedTuple):
    """The pixels of the training fold, each image once."""

    images: int  #: How many.
    mean: float  #: Mean grey level, 0-255.
    deviation: float  #: Population standard deviation in grey levels.


def folder(name: str) -> Path:
    """Where a split lies."""
    return DATA / "splits" / name


def path(name: str, fold: str) -> Path:
    """Where a fold of it lies."""
    return folder(name) / f"{fold}.parquet"


def statistics_path(name: str) -> Path:
    """Where the mean and deviation of its training fold lie."""
    return folder(name) / "statistics.json"


def labels(rows: pd.DataFrame) -> list[str]:
    """The label columns, in the order of the classes."""
    return [column for column in rows if column.startswith(LABEL)]


def write(name: str, rows: pd.DataFrame, statistics: Statistics) -> None:
    """Writes the folds of a split and its statistics, as one folder.

    Args:
        name: Key of the split.
        rows: `image_id, patient_id, label_*, fold, draws, source_sha256, pixels_sha256`, one row an image and
            fold; `draws` is how often the fold shows the image.
        statistics: Of the training fold.
    """
    schema = pa.schema([*_BEFORE, *((column, pa.uint8()) for column in labels(rows)), *_AFTER])
    with atomic(folder(name)) as temporary:
        temporary.mkdir()
        for fold in FOLDS:
            chosen = rows.loc[rows["fold"] == fold, schema.names]
            typed = pa.Table.from_pandas(chosen, schema, preserve_index=False)
            table.write(temporary / f"{fold}.parquet", typed, f"split@{name}")
        document.write(temporary / statistics_path(name).name, statistics._asdict(), f"split@{name}")


def read(name: str, fold: str) -> pd.DataFrame:
    """The rows of a fold, as `write` takes them, without `fold`."""
    rows, _ = table.read(path(name, fold), f"split@{name}")
    classes = [field for field in rows.schema if field.name.startswith(LABEL) and field.type == pa.uint8()]
    if len(classes) < 2 or rows.schema != pa.schema([*_BEFORE, *classes, *_AFTER]):
        raise ArtifactError(path(name, fold), f"has the columns {', '.join(rows.column_names)}", f"split@{name}")
    frame: pd.DataFrame = rows.to_pandas()
    return frame


def shown(name: str, fold: str) -> pd.DataFrame:
    """The rows of a fold that is looked at once and in order: each as often as it was drawn.

    Only a leaking procedure draws rows of validation and test more than once.
    """
    rows = read(name, fold)
    repeated = rows.loc[rows.index.repeat(rows["draws"])]
    return repeated.assign(draws=np.int32(1)).reset_index(drop=True)


def training_hashes(name: str) -> dict[str, str]:
    """SHA-256 of the files of a split that a training sees: all but the test fold."""
    seen = {f"{fold}_sha256": path(name, fold) for fold in FOLDS if fold != "test"}
    seen["statistics_sha256"] = statistics_path(name)
    return {key: sha256_of(place, f"split@{name}") for key, place in seen.items()}


def read_statistics(name: str) -> Statistics:
    """The statistics of a split."""
    return document.read_typed(statistics_path(name), f"split@{name}", Statistics)
