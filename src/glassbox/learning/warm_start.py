"""The warm start of an experiment: the initial network, its given weights, and a first short training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.learning import history, keras_file, network, phases, runtime, weights
from glassbox.learning.batches import folds

if TYPE_CHECKING:
    from glassbox.params import Params


def warm_start(params: Params, experiment: str) -> None:
    """Builds the initial model, trains it as `warm_start` says, and writes it with its history."""
    settings = params.experiments[experiment]
    runtime.prepare(settings.training.seed, settings.training.precision)
    train, validation = folds(settings)
    statistics = json.loads((layout.split(settings.split) / "statistics.json").read_text(encoding="utf-8"))
    model = network.build(
        settings.model, train.images.size, train.labels.shape[1], statistics["mean"], statistics["std"]
    )
    weights.load_into(model, settings.model.backbone, layout.weights(settings.weights))
    rows = phases.run(
        model,
        settings.warm_start,
        name="warm_start",
        training=settings.training,
        augmentation=settings.augmentation,
        train=train,
        validation=validation,
        first_epoch=0,
        on_epoch=history.say,
    )
    folder = layout.models(experiment)
    keras_file.save(model, folder / layout.INITIAL_MODEL)
    history.write(rows, folder / layout.INITIAL_HISTORY)
