"""A phase put aside after each epoch, so that a killed training goes on and ends in the same bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from glassbox.files import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from glassbox.artifacts.history import Row
    from glassbox.learning.stopping import Stopping


@dataclass(frozen=True)
class Checkpoint:
    """A file with all that decides how a phase goes on.

    That is the weights, the optimiser's state with its count of steps, the state of every random generator
    (Dropout's), the best epoch's weights and the history. The batches need no state: they are drawn anew from
    the seed and the number of the step.
    """

    path: Path

    def save(self, model: keras.Model, stopping: Stopping, rows: list[Row]) -> None:
        """Puts a compiled model aside, after an epoch; the file before stays until this one is whole."""
        arrays: dict[str, Any] = {
            f"state_{number:05d}": keras.ops.convert_to_numpy(variable)
            for number, variable in enumerate(_variables(model))
        }
        arrays |= {f"best_{number:05d}": value for number, value in enumerate(stopping.weights)}
        said = {"rows": rows, "best": stopping.best, "waited": stopping.waited, "arrays": len(arrays)}
        with atomic(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, said=np.array(json.dumps(said)), **arrays)

    def load(self, model: keras.Model, stopping: Stopping) -> list[Row]:
        """Takes up what was put aside, into a model compiled in the same way; the rows of its epochs.

        A file that is not there, or was damaged on the disk, is as none: the phase begins anew.
        """
        try:
            said, stored = _read(self.path)
        except Exception:  # noqa: BLE001 (there is no end to what a damaged archive raises)
            return []
        for variable, name in zip(
            _variables(model), sorted(name for name in stored if name.startswith("state_")), strict=True
        ):
            variable.assign(stored[name])
        stopping.best, stopping.waited = said["best"], said["waited"]
        stopping.weights = [stored[name] for name in sorted(stored) if name.startswith("best_")]
        rows: list[Row] = said["rows"]
        return rows


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with np.load(path) as file:
        stored = {name: file[name] for name in file.files}
    said: dict[str, Any] = json.loads(str(stored.pop("said")))
    if len(stored) != said["arrays"]:
        raise ValueError("the archive's list, which has no checksum, was damaged")
    return said, stored


def _variables(model: keras.Model) -> list[keras.Variable]:
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
