"""What a network said of every test image, beside the truth: one table a variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from glassbox.artifacts import table
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.split import LABEL, labels
from glassbox.files import atomic
from glassbox.params.experiments import VARIANTS
from glassbox.paths import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

#: Prefix of the probability columns; the class name follows.
PROBABILITY = "probability_"


class Table(NamedTuple):
    """One test variant: N images, C classes."""

    classes: tuple[str, ...]  #: Names of the classes, in the order of the network's outputs.
    images: NDArray[np.str_]  #: Identifiers, (N,) str; an image that a recipe draws twice is there twice.
    patients: NDArray[np.str_]  #: Their patients, (N,) str.
    labels: NDArray[np.uint8]  #: uint8 (N, C), 0 or 1.
    probabilities: NDArray[np.float32]  #: float32 (N, C).


def folder(experiment: str) -> Path:
    """Where the predictions of an experiment lie."""
    return PREDICTIONS / experiment


def write(
    experiment: str, test: pd.DataFrame, probabilities: Mapping[str, NDArray[np.float32]], model_sha256: str
) -> None:
    """Writes the predictions of every variant, as one folder.

    Args:
        experiment: Key of the experiment.
        test: The rows of the test fold, as `split.shown` gives them.
        probabilities: variant -> float32 (N, C), in the order of the rows.
        model_sha256: Of the model that made them.
    """
    names = [column.removeprefix(LABEL) for column in labels(test)]
    known = {
        **{column: pa.array(test[column], pa.string()) for column in ("image_id", "patient_id")},
        **{column: pa.array(test[column].to_numpy(), pa.uint8()) for column in labels(test)},
    }
    with atomic(folder(experiment)) as temporary:
        temporary.mkdir()
        for variant in VARIANTS:
            said = {
                PROBABILITY + name: pa.array(column, pa.float32())
                for name, column in zip(names, probabilities[variant].T, strict=True)
            }
            rows, facts = pa.table({**known, **said}), {"model_sha256": model_sha256}
            table.write(temporary / f"{variant}.parquet", rows, f"predict@{experiment}", facts)


def read(experiment: str, variant: str, model_sha256: str) -> Table:
    """The predictions of a variant.

    Args:
        experiment: Key of the experiment.
        variant: One of `VARIANTS`.
        model_sha256: Of the model whose predictions they have to be.
    """
    path, stage = folder(experiment) / f"{variant}.parquet", f"predict@{experiment}"
    rows, facts = table.read(path, stage)
    if facts != {"model_sha256": model_sha256}:
        raise ArtifactError(path, f"is of {facts}, not of the model {model_sha256}", stage)
    classes = tuple(name.removeprefix(LABEL) for name in rows.column_names if name.startswith(LABEL))
    wanted = ["image_id", "patient_id", *(before + name for before in (LABEL, PROBABILITY) for name in classes)]
    if rows.column_names != wanted or len(classes) < 2 or not rows.num_rows:
        raise ArtifactError(path, f"has {rows.num_rows} rows of {', '.join(rows.column_names)}", stage)
    return Table(
        classes,
        np.array(rows["image_id"].to_pylist(), np.str_),
        np.array(rows["patient_id"].to_pylist(), np.str_),
        np.column_stack([rows[LABEL + name].to_numpy() for name in classes]),
        np.column_stack([rows[PROBABILITY + name].to_numpy() for name in classes]),
    )
