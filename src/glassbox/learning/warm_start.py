"""The warm start of an experiment: the initial network, its given weights, and a first short training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.learning import history, initial, keras_file, phases, record, strategies
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.lesson import Lesson

if TYPE_CHECKING:
    from glassbox.params import Params


def warm_start(params: Params, experiment: str) -> None:
    """Builds the initial model, trains it as `warm_start` says, and writes it with its history.

    Raises:
        ModelError: The network cannot be built or trained as asked.
    """
    lesson = Lesson.of(params, experiment)
    with strategies.scope(lesson.training), record.unfinished(params, experiment, "warm_start") as path:
        model = initial.build(params, experiment, lesson)
        rows = phases.run(
            model,
            params.phase(experiment, "warm_start"),
            lesson,
            name="warm_start",
            first_epoch=0,
            checkpoint=Checkpoint(path),
            on_epoch=history.say,
        )
        folder = layout.models(experiment)
        keras_file.save(model, folder / layout.INITIAL_MODEL)
        history.write(rows, folder / layout.INITIAL_HISTORY)
