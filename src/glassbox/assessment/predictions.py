"""What a network said of every test image, beside the truth: the table that the predict stage writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glassbox.errors import ReportError
from glassbox.layout import LABEL, PROBABILITY

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: How far above 1 or below 0 the float32 rounding of a softmax may lie.
ROUNDING = 1e-5

ACTION = "run `dvc repro` to predict anew"


@dataclass(frozen=True, eq=False)
class Predictions:
    """One test variant: N images of P patients, C classes of which the last is the positive one."""

    #: Names of the classes, in the order of the network's outputs.
    classes: tuple[str, ...]
    #: Identifiers of the images, (N,) str; an image that a recipe draws twice is there twice.
    images: NDArray[np.str_]
    #: Position of each image's patient among the sorted patients, (N,) int64 in 0..P-1.
    patients: NDArray[np.int64]
    #: Position of each image's true class, (N,) int64 in 0..C-1.
    truth: NDArray[np.int64]
    #: (N, C) float32 in 0..1.
    probabilities: NDArray[np.float32]

    @property
    def patient_count(self) -> int:
        """P, the number of patients."""
        return int(self.patients.max()) + 1

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether each image is of the positive class, (N,)."""
        return np.equal(self.truth, len(self.classes) - 1)

    @property
    def score(self) -> NDArray[np.float32]:
        """Probability of the positive class, (N,)."""
        return self.probabilities[:, -1]

    @property
    def decision(self) -> NDArray[np.int64]:
        """Position of the most probable class, (N,) int64; among equals the first."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the true one, (N,)."""
        return np.equal(self.decision, self.truth)


def read(path: Path) -> Predictions:
    """Reads and checks one variant's Parquet file.

    Raises:
        ReportError: The file is missing, damaged or empty, lacks a column, has labels that are not one-hot, a
            probability that is no number from 0 to 1, or images of one class only.
    """
    table = _table(path)
    classes = _classes(path, table)
    labels = np.column_stack([_numbers(path, table, LABEL + name) for name in classes])
    if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
        raise ReportError(
            f"{path}: the label columns of some images are not one-hot",
            f"exactly one 1 among {', '.join(LABEL + name for name in classes)}",
            ACTION,
        )
    probabilities = np.column_stack([_numbers(path, table, PROBABILITY + name) for name in classes])
    # Written so that NaN, of which every comparison is false, is out of range too.
    wrong = ~((probabilities >= -ROUNDING) & (probabilities <= 1 + ROUNDING))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ReportError(
            f"{path}: {PROBABILITY}{classes[column]} is {probabilities[row, column]} in row {row}",
            "numbers from 0 to 1",
            "look for a loss that became NaN in the model's history.csv, lower the learning rate, "
            "then run `dvc repro`",
        )
    truth = labels.argmax(axis=1)
    positives = int((truth == len(classes) - 1).sum())
    if positives in (0, len(truth)):
        raise ReportError(
            f"{path}: {positives} of {len(truth)} images are {classes[-1]}",
            "images of both classes, without which there is no ROC curve",
            "enlarge the split's test fold or its sample, or change its seed, then run `dvc repro`",
        )
    return Predictions(
        classes=classes,
        images=_strings(path, table, "image_id"),
        patients=np.unique(_strings(path, table, "patient_id"), return_inverse=True)[1],
        truth=truth,
        probabilities=probabilities.astype(np.float32),
    )


def _table(path: Path) -> Any:
    """The Arrow table of a Parquet file that is there, whole and not empty."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except FileNotFoundError:
        raise ReportError(f"{path} is not there", "the predictions of the test fold", ACTION) from None
    except (pa.ArrowException, OSError, EOFError) as error:
        raise ReportError(f"{path} is no whole Parquet file: {error}", "one", ACTION) from None
    if table.num_rows == 0:
        raise ReportError(f"{path} has no rows", "one row for each image of the test fold", ACTION)
    return table


def _classes(path: Path, table: Any) -> tuple[str, ...]:
    """The names of the classes, from columns that are all there and in one order."""
    names = table.column_names
    labels = tuple(name.removeprefix(LABEL) for name in names if name.startswith(LABEL))
    scored = tuple(name.removeprefix(PROBABILITY) for name in names if name.startswith(PROBABILITY))
    if labels != scored or len(labels) < 2:
        raise ReportError(
            f"{path} has labels of {_listed(labels)} and probabilities of {_listed(scored)}",
            "one label and one probability column for each of two classes or more, in one order",
            ACTION,
        )
    return labels


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "no class"


def _column(path: Path, table: Any, name: str) -> Any:
    """A column that is there once and has no null."""
    found = table.column_names.count(name)
    if found != 1 or table.column(name).null_count:
        what = f"{table.column(name).null_count} nulls" if found == 1 else f"{found} columns of that name"
        raise ReportError(f"{path}: {name}: {what}", "one column without nulls", ACTION)
    return table.column(name)


def _numbers(path: Path, table: Any, name: str) -> NDArray[Any]:
    column = _column(path, table, name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise ReportError(f"{path}: {name} is {column.type}", "numbers", ACTION)
    return np.asarray(column.to_numpy())


def _strings(path: Path, table: Any, name: str) -> NDArray[np.str_]:
    column = _column(path, table, name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise ReportError(f"{path}: {name} is {column.type}", "text", ACTION)
    return np.array(column.to_pylist(), dtype=np.str_)
