"""A phase put aside after each epoch, so that a killed training goes on and ends in the same bytes."""

from __future__ import annotations

import json
import math
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from glassbox.files import atomic

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from glassbox.artifacts.history import Epoch
    from glassbox.params.experiments import EarlyStopping


@dataclass
class Stopping:
    """Early stopping on the validation loss; without settings training goes on to the end."""

    settings: EarlyStopping | None
    best: float = math.inf  # the lowest loss so far
    waited: int = 0  # epochs since then
    weights: list[NDArray[np.float32]] = field(default_factory=list)  # of that epoch; empty before the first

    def update(self, model: keras.Model, val_loss: float) -> None:
        """Takes a finished epoch into account."""
        if self.settings is None:
            return
        self.waited += 1
        if val_loss < self.best:
            self.best, self.waited, self.weights = val_loss, 0, model.get_weights()

    @property
    def due(self) -> bool:
        """Whether training should stop: patience is exhausted, or the loss is as low as asked for."""
        if self.settings is None:
            return False
        return self.best < (self.settings.below or 0.0) or self.waited >= self.settings.patience

    def restore(self, model: keras.Model) -> None:
        """Gives the model the best epoch's weights, where there are some."""
        if self.weights:
            model.set_weights(self.weights)


@dataclass
class Checkpoint:
    """A file with all that decides how a phase goes on.

    That is the weights, the optimiser's state with its count of steps, the state of every random generator
    (Dropout's), the best epoch's weights and the history. The batches need no state: they are drawn anew from
    the seed and the number of the step.
    """

    path: Path
    _written: Future[None] | None = field(default=None, init=False)

    def save(self, model: keras.Model, stopping: Stopping, history: list[Epoch]) -> None:
        """Puts a compiled model aside, after an epoch; the file before stays until this one is whole.

        It is read now, and written by a thread while the next epoch trains.
        """
        # A TensorFlow tensor is a value: what is read is copied when the variable changes. Others are copied now.
        state = (getattr(variable.value, "read_value", variable.numpy)() for variable in _variables(model))
        arrays = {f"state_{number:05d}": value for number, value in enumerate(state)}
        arrays |= {f"best_{number:05d}": value for number, value in enumerate(stopping.weights)}
        rest = {"history": history, "best": stopping.best, "waited": stopping.waited, "arrays": len(arrays)}
        self.close()
        writer = ThreadPoolExecutor(1)
        self._written = writer.submit(self._write, json.dumps(rest), arrays)
        writer.shutdown(wait=False)

    def _write(self, rest: str, arrays: dict[str, Any]) -> None:
        with atomic(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, rest=np.array(rest), **arrays)

    def close(self) -> None:
        """Waits until what was put aside is on the disk, or raises why it is not."""
        if self._written is not None:
            self._written.result()

    def load(self, model: keras.Model, stopping: Stopping) -> list[Epoch]:
        """Takes up what was put aside, into a model compiled in the same way; its finished epochs.

        A file that is not there, or was damaged on the disk, is as none: the phase begins anew.
        """
        try:
            rest, stored = _read(self.path)
        except Exception:  # noqa: BLE001 (there is no end to what a damaged archive raises)
            return []
        state = sorted(name for name in stored if name.startswith("state_"))
        for variable, name in zip(_variables(model), state, strict=True):
            variable.assign(stored[name])
        stopping.best, stopping.waited = rest["best"], rest["waited"]
        stopping.weights = [stored[name] for name in sorted(stored) if name.startswith("best_")]
        history: list[Epoch] = rest["history"]
        return history


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with np.load(path) as file:
        stored = dict(file)
    rest: dict[str, Any] = json.loads(str(stored.pop("rest")))
    if len(stored) != rest["arrays"]:
        raise ValueError("the archive's list, which has no checksum, was damaged")
    return rest, stored


def _variables(model: keras.Model) -> list[keras.Variable]:
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]
