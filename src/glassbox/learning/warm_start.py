"""The warm start of an experiment: the initial network, its given weights, and a first short training."""

from __future__ import annotations

from pathlib import Path

from glassbox.artifacts import history, model, recipe
from glassbox.learning import initial, keras_file, phases, record, strategies
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.lesson import Lesson


def warm_start(experiment: str) -> None:
    """Builds the initial model, trains it as `warm_start` says, and writes it with its history and their record.

    Raises:
        ModelError: The network cannot be built or trained as asked.
        ArtifactError: The recipe, the data or the weights are missing or damaged.
    """
    settings = recipe.phase(experiment, "warm_start")
    initial.prepare(settings)
    made = record.origin(settings, "warm_start")
    lesson = Lesson.of(settings)
    with (
        strategies.scope(lesson.training),
        record.unfinished(Path("warm_start") / experiment, made) as place,
    ):
        network = initial.build(settings, lesson)
        rows = phases.run(
            network,
            settings.phase,
            lesson,
            name="warm_start",
            first_epoch=0,
            checkpoint=Checkpoint(place.with_suffix(".npz")),
            on_epoch=phases.say,
        )
        at = model.files(experiment, "warm_start")
        keras_file.save(network, at.model)
        history.write(rows, at.history)
        model.write_lineage(experiment, "warm_start", made)
