"""What a network said of every test image, beside the truth: the table that the predict stage writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

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

#: A sigmoid above it says that an image has the class, as in Keras' binary accuracy.
THRESHOLD = 0.5

ACTION = "run `dvc repro` to predict anew"

#: What is asked of an image: which of two classes, which of many, or of each class whether it has it.
Task = Literal["binary", "single_label", "multi_label"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """One test variant: N images of P patients, C classes."""

    task: Task
    #: Names of the classes, in the order of the network's outputs: of two the positive one is the last, of more
    #: the absence of findings is the first.
    classes: tuple[str, ...]
    #: Identifiers of the images, (N,) str; an image that a recipe draws twice is there twice.
    images: NDArray[np.str_]
    #: Position of each image's patient among the sorted patients, (N,) int64 in 0..P-1.
    patients: NDArray[np.int64]
    #: Which classes each image is of, (N, C): exactly one, but for `multi_label`.
    labels: NDArray[np.bool_]
    #: (N, C) float32 in 0..1.
    probabilities: NDArray[np.float32]

    @property
    def patient_count(self) -> int:
        """P, the number of patients."""
        return int(self.patients.max()) + 1

    @property
    def ranked(self) -> list[int]:
        """Positions of the classes whose ROC curves count.

        Of two classes that is the positive one. Of more it is every class that some of the images have and
        others have not: without both sides there is no ROC curve.
        """
        both = self.labels.any(axis=0) & ~self.labels.all(axis=0)
        return [len(self.classes) - 1] if self.task == "binary" else np.flatnonzero(both).tolist()

    @property
    def decisions(self) -> NDArray[np.bool_]:
        """Which classes each image is said to be of, (N, C).

        The most probable one, among equals the first; for `multi_label` all that are above `THRESHOLD`.
        """
        if self.task == "multi_label":
            return np.asarray(np.greater(self.probabilities, THRESHOLD))
        best = self.probabilities.argmax(axis=1)
        return np.asarray(np.equal(best[:, None], np.arange(len(self.classes))))

    @property
    def answers(self) -> int:
        """How many questions are asked of each image: one, or one a class."""
        return len(self.classes) if self.task == "multi_label" else 1

    @property
    def right(self) -> NDArray[np.int64]:
        """How many of its questions are answered rightly, image by image, (N,) int64 in 0..answers."""
        same = self.decisions == self.labels
        return np.asarray(same.sum(axis=1) if self.task == "multi_label" else same.all(axis=1), dtype=np.int64)


def read(path: Path, task: Task) -> Predictions:
    """Reads and checks one variant's Parquet file.

    Args:
        path: The file.
        task: What the network was asked.

    Raises:
        ReportError: The file is missing, damaged or empty, lacks a column, has labels that do not fit the task, a
            probability that is no number from 0 to 1, or no class that some images have and others have not.
    """
    table = _table(path)
    classes = _classes(path, table, task)
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
    predictions = Predictions(
        task=task,
        classes=classes,
        images=_strings(path, table, "image_id"),
        patients=np.unique(_strings(path, table, "patient_id"), return_inverse=True)[1],
        labels=_labels(path, table, classes, task),
        probabilities=probabilities.astype(np.float32),
    )
    _refuse_one_sided(path, predictions)
    return predictions


def _labels(path: Path, table: Any, classes: tuple[str, ...], task: Task) -> NDArray[np.bool_]:
    """The labels of every image, (N, C), that fit the task."""
    labels = np.column_stack([_numbers(path, table, LABEL + name) for name in classes])
    columns = ", ".join(LABEL + name for name in classes)
    if not np.isin(labels, (0, 1)).all():
        raise ReportError(f"{path}: the label columns hold other values", f"0 or 1 in {columns}", ACTION)
    if task != "multi_label" and not (labels.sum(axis=1) == 1).all():
        raise ReportError(
            f"{path}: the label columns of some images are not one-hot", f"exactly one 1 among {columns}", ACTION
        )
    return labels.astype(np.bool_)


def _refuse_one_sided(path: Path, predictions: Predictions) -> None:
    """Refuses a test fold that has no ROC curve at all."""
    images, counts = len(predictions.labels), predictions.labels.sum(axis=0)
    enlarge = "enlarge the split's test fold or its sample, or change its seed, then run `dvc repro`"
    if predictions.task == "binary" and counts[-1] in (0, images):
        raise ReportError(
            f"{path}: {counts[-1]} of {images} images are {predictions.classes[-1]}",
            "images of both classes, without which there is no ROC curve",
            enlarge,
        )
    if not predictions.ranked:
        raise ReportError(
            f"{path}: every class is that of all {images} images or of none",
            "a class that some images have and others have not, without which there is no ROC curve",
            enlarge,
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


def _classes(path: Path, table: Any, task: Task) -> tuple[str, ...]:
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
    if task == "binary" and len(labels) > 2:
        raise ReportError(
            f"{path} has {len(labels)} classes: {_listed(labels)}", "two, since its split asks for binary", ACTION
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
