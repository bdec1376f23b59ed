"""A phase of training: epochs over a fold, validation after each, early stopping on what was not seen."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import keras
import numpy as np

from glassbox.learning import batches, objective, strategies
from glassbox.learning.errors import ModelError
from glassbox.learning.freezing import freeze
from glassbox.learning.optimizers import optimizer
from glassbox.learning.stopping import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from glassbox.artifacts.history import Row
    from glassbox.learning.batches import Batch
    from glassbox.learning.checkpoint import Checkpoint
    from glassbox.learning.lesson import Lesson
    from glassbox.params.experiments import Phase, PhaseName

_DECIMALS = 6


def run(
    model: keras.Model,
    phase: Phase,
    lesson: Lesson,
    *,
    name: PhaseName,
    first_epoch: int,
    checkpoint: Checkpoint,
    on_epoch: Callable[[Row], None],
) -> list[Row]:
    """Trains a model in place; what was put aside by a killed run of the same phase is taken up.

    With early stopping the model ends with the weights of its best epoch, else with those of its last.

    Args:
        model: A network of `network.build`.
        phase: Epochs, frozen layers, optimiser, loss and early stopping.
        lesson: What is learnt.
        name: The phase's, for the history.
        first_epoch: Number of the first epoch; numbers run on from phase to phase.
        checkpoint: Where the phase is put aside after each epoch.
        on_epoch: Called with the row of each finished epoch, those that were taken up first.

    Returns:
        The history, a row an epoch.

    Raises:
        ModelError: The loss is no longer a number; what was put aside after the last good epoch stays.
    """
    freeze(model, phase.freeze)
    steps = phase.steps_per_epoch or batches.steps(lesson.train, lesson.batch_size)
    model.compile(
        optimizer(phase.optimizer, steps * max(phase.epochs, 1)),
        objective.minimised(lesson.task),
        metrics=[objective.accuracy(lesson.task)],
    )
    strategies.build(model, lesson.batch_size)
    stopping = Stopping(phase.early_stopping)
    history = checkpoint.load(model, stopping)
    for taken_up in history:
        on_epoch(taken_up)
    done, weights = len(history), lesson.class_weights()
    stream = batches.training(
        lesson.train,
        lesson.augmentation,
        lesson.batch_size,
        lesson.training.seed,
        first_pass=first_epoch,
        first_step=done * steps,
    )
    with contextlib.closing(stream):
        for epoch in range(first_epoch + done, first_epoch + phase.epochs):
            if stopping.due:
                break
            row: Row = {"epoch": epoch, "phase": name}
            row |= _epoch(model, stream, steps, weights, f"{name}, epoch {epoch}")
            row |= objective.validate(model, lesson, phase.loss)
            row["learning_rate"] = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
            row = {key: _rounded(value) for key, value in row.items()}
            _refuse_no_number(float(row["val_loss"]), f"{name}, epoch {epoch}: the validation loss", name)
            history.append(row)
            stopping.notice(model, float(row["val_loss"]))
            checkpoint.save(model, stopping, history)
            on_epoch(row)
    stopping.restore(model)
    return history


def _epoch(
    model: keras.Model,
    stream: Generator[Batch],
    steps: int,
    weights: NDArray[np.float32] | None,
    place: str,
) -> Row:
    """Trains for some steps; the means of their losses and accuracies."""
    sums = np.zeros(2)
    for step in range(steps):
        images, labels = next(stream)
        figures = strategies.train(model, images, labels, None if weights is None else labels @ weights)
        _refuse_no_number(float(figures[0]), f"{place}, step {step}: the loss", place.partition(",")[0])
        sums += figures
    loss, accuracy = sums / steps
    return {"loss": loss, "accuracy": accuracy}


def _refuse_no_number(loss: float, place: str, phase: str) -> None:
    if not math.isfinite(loss):
        raise ModelError(
            f"{place} is {loss}",
            "a finite loss",
            f"lower {phase}.optimizer.learning_rate, or use precision: float32",
        )


def say(row: Row) -> None:
    """Prints a row as one line."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float))
    print(f"{row['phase']} epoch {row['epoch']}: {figures}", flush=True)


def _rounded(value: float | int | str) -> float | int | str:
    return value if isinstance(value, int | str) else round(float(value), _DECIMALS)
