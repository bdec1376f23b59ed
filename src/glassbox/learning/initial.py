"""The network of an experiment before it is trained: built from its seed, with its initial weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.artifacts import split
from glassbox.artifacts import weights as artifact
from glassbox.learning import network, runtime, weights

if TYPE_CHECKING:
    import keras

    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.learning.lesson import Lesson


def prepare(recipe: PhaseRecipe) -> None:
    """Prepares this process for the training of a recipe; before anything of it is computed."""
    training = recipe.training
    runtime.prepare(training.seed, training.precision, training.threads)


def build(recipe: PhaseRecipe, lesson: Lesson) -> keras.Model:
    """Seeds every generator, builds the network for the films and labels of a lesson, and loads its weights.

    Raises:
        ModelError: The network cannot be built as asked, or the weights are of another architecture.
        ArtifactError: The weights or the statistics of the split are missing or damaged.
    """
    prepare(recipe)
    statistics = split.read_statistics(recipe.split)
    model = network.build(
        recipe.model,
        lesson.train.images.size,
        lesson.task,
        lesson.train.labels.shape[1],
        mean=statistics.mean,
        deviation=statistics.deviation,
    )
    if (path := artifact.read(recipe.weights).path) is not None:
        weights.load_into(model, recipe.model, path)
    return model
