"""A phase of training: epochs over a fold, validation after each, early stopping on what was not seen."""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from glassbox.artifacts import split, weights
from glassbox.networks import network
from glassbox.networks.errors import ModelError
from glassbox.training import batches, objective, order, strategies
from glassbox.training.checkpoint import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras
    from numpy.typing import NDArray

    from glassbox.artifacts.history import Epoch
    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.experiments import Phase, PhaseName
    from glassbox.training.batches import Batch
    from glassbox.training.checkpoint import Checkpoint
    from glassbox.training.data import TrainingData

_DECIMALS = 6


def initial(recipe: PhaseRecipe, data: TrainingData) -> keras.Model:
    """The network before it is trained: built for the films and labels of some data, with its initial weights.

    Raises:
        ModelError: The network cannot be built as asked, or the weights are of another architecture.
        ArtifactError: The weights or the statistics of the split are missing or damaged.
    """
    statistics = split.read_statistics(recipe.split)
    model = network.build(
        recipe.model,
        data.train.images.size,
        data.task,
        data.train.labels.shape[1],
        mean=statistics.mean,
        deviation=statistics.deviation,
    )
    if (path := weights.read(recipe.weights).path) is not None:
        network.load_backbone(model, recipe.model, path)
    return model


def run(
    model: keras.Model,
    phase: Phase,
    data: TrainingData,
    *,
    name: PhaseName,
    first_epoch: int,
    checkpoint: Checkpoint,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Trains a model in place; what was put aside by a killed run of the same phase is taken up.

    Prints a line an epoch. With early stopping the model ends with the weights of its best epoch, else with those
    of its last.

    Args:
        model: A network of `network.build`.
        phase: Epochs, frozen layers, optimiser, loss and early stopping.
        data: What is trained on and validated with.
        name: The phase's, for the history.
        first_epoch: Number of the first epoch; numbers run on from phase to phase.
        checkpoint: Where the phase is put aside after each epoch.
        on_epoch: Called with each finished epoch, those that were taken up first.

    Returns:
        The finished epochs.

    Raises:
        ModelError: The loss is no longer a number; what was put aside after the last good epoch stays.
    """
    network.freeze(model, phase.freeze)
    steps = phase.steps_per_epoch or order.steps(data.train.draws, data.batch_size)
    loss, accuracy = objective.minimised(data.task)
    model.compile(network.optimizer(phase.optimizer, steps * max(phase.epochs, 1)), loss, metrics=[accuracy])
    strategies.build(model, data.batch_size)
    stopping = Stopping(phase.early_stopping)
    history = checkpoint.load(model, stopping)
    for epoch in history:
        _print(epoch)
        on_epoch(epoch)
    done, class_weights = len(history), data.class_weights()
    stream = batches.training(
        data.train,
        data.augmentation,
        data.batch_size,
        data.training.seed,
        first_pass=first_epoch,
        first_step=done * steps,
    )
    with contextlib.closing(stream), contextlib.closing(checkpoint):
        for number in range(first_epoch + done, first_epoch + phase.epochs):
            if stopping.due:
                break
            place = f"{name}, epoch {number}"
            losses, accuracies = _steps(model, itertools.islice(stream, steps), class_weights)
            for step, value in enumerate(losses):
                _require_finite(value, f"{place}, step {step}: the loss", name)
            figures = {
                "loss": losses.mean(),
                "accuracy": accuracies.mean(),
                **objective.validate(model, data, phase.loss),
                "learning_rate": np.asarray(model.optimizer.learning_rate),
            }
            rounded = {key: round(float(value), _DECIMALS) for key, value in figures.items()}
            _require_finite(rounded["val_loss"], f"{place}: the validation loss", name)
            epoch = {"epoch": number, "phase": name, **rounded}
            history.append(epoch)
            stopping.update(model, rounded["val_loss"])
            checkpoint.save(model, stopping, history)
            _print(epoch)
            on_epoch(epoch)
    stopping.restore(model)
    return history


def _steps(
    model: keras.Model, stream: Iterator[Batch], class_weights: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Trains on some batches; float64 (2, steps), the loss and the accuracy of each step.

    They are read after the last step, so that the device need not wait for this process between two steps.
    """
    figures = [
        strategies.train(model, images, labels, None if class_weights is None else labels @ class_weights)
        for images, labels in stream
    ]
    return np.array([[float(figure) for figure in step] for step in figures]).T


def _require_finite(loss: float, place: str, phase: str) -> None:
    if not math.isfinite(loss):
        raise ModelError(
            f"{place} is {loss}",
            "a finite loss",
            f"lower {phase}.optimizer.learning_rate, or use precision: float32",
        )


def _print(epoch: Epoch) -> None:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in epoch.items() if isinstance(value, float))
    print(f"{epoch['phase']} epoch {epoch['epoch']}: {figures}", flush=True)
