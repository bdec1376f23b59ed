"""One cell of a grid: a short training, and what it is made from."""

from __future__ import annotations

import random
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import keras
from keras.src.random import seed_generator

from glassbox.artifacts import code, model
from glassbox.networks import runtime
from glassbox.training import lineage, objective, phases, strategies
from glassbox.training.checkpoint import Checkpoint
from glassbox.training.data import TrainingData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from glassbox.artifacts.recipe import PhaseRecipe


def facts(recipe: PhaseRecipe) -> dict[str, str | int | bool]:
    """What decides of a cell's bytes besides its recipe: data, code, packages and the kind of machine.

    Prepares this process to train it, since that may change what kind it is.

    Raises:
        ModelError: This process computes with another number of threads already.
        ArtifactError: The data or the weights are missing or damaged.
    """
    training, own = recipe.training, code.read("cell")
    runtime.prepare(training.seed, training.precision, training.threads)
    kind = runtime.machine(training.threads)
    return {**model.seen(recipe), "code": own.sha256, **lineage.packages(own), **kind}


def train(recipe: PhaseRecipe, unfinished: Path) -> dict[str, float]:
    """Trains a cell from the experiment's seed and its initial weights; `val_accuracy` and `majority_accuracy`.

    Args:
        recipe: What it is trained as.
        unfinished: Where it is put aside after each epoch, and taken up.

    Raises:
        ModelError: It cannot be trained as asked: more images or layers than there are, or no finite loss.
        ArtifactError: The data or the weights are missing or damaged.
    """
    # Names that Keras numbers begin anew, and what the cell before took is free.
    keras.utils.clear_session()
    data = TrainingData.of(recipe)
    # The stage says how far the grid is: nobody could tell the epochs of several workers apart.
    with _own_seeds(recipe.training.seed), strategies.scope(data.training), redirect_stdout(None):
        epochs = phases.run(
            phases.initial(recipe, data),
            recipe.phase,
            data,
            name="fine_tune",
            first_epoch=0,
            checkpoint=Checkpoint(unfinished),
        )
    majority = round(objective.majority_accuracy(data), 6)
    return {"val_accuracy": float(epochs[-1]["val_accuracy"]), "majority_accuracy": majority}


@contextmanager
def _own_seeds(seed: int) -> Iterator[None]:
    """Keras draws layers' seeds from Python's one generator, which a worker's other threads use as they like."""
    shared = seed_generator.python_random
    seed_generator.python_random = random.Random(seed)  # noqa: S311 (no secret)
    try:
        yield
    finally:
        seed_generator.python_random = shared
