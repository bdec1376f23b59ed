"""The network of an experiment before it is trained: built from its seed, with its initial weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.learning import network, runtime, weights

if TYPE_CHECKING:
    import keras

    from glassbox.learning.lesson import Lesson
    from glassbox.params import Params


def build(params: Params, experiment: str, lesson: Lesson) -> keras.Model:
    """Seeds every generator, builds the network for the films and labels of a lesson, and loads its weights.

    Raises:
        ModelError: The network cannot be built as asked, or the weights are of another architecture.
    """
    settings = params.experiments[experiment]
    runtime.prepare(settings.training.seed, settings.training.precision)
    statistics = json.loads((layout.split(settings.split) / "statistics.json").read_text(encoding="utf-8"))
    model = network.build(
        settings.model,
        lesson.train.images.size,
        lesson.task,
        lesson.train.labels.shape[1],
        mean=statistics["mean"],
        deviation=statistics["std"],
    )
    weights.load_into(model, settings.model, layout.weights(settings.weights))
    return model
