"""Fine-tuning: the warm-started network trained on, and the record of what the model was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from glassbox import layout
from glassbox.files import sha256_file, write_json
from glassbox.learning import history, keras_file, phases, runtime, strategies
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.lesson import Lesson
from glassbox.learning.record import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.learning.history import Row
    from glassbox.params import Params


def fine_tune(
    params: Params, experiment: str, record: dict[str, Any], on_epoch: Callable[[Row], None]
) -> keras.Model:
    """Trains the warm-started model as `fine_tune` says and writes it, the whole history and the record.

    Args:
        params: All parameters.
        experiment: Which experiment.
        record: What `record.record` says of it; it is written with the model's SHA-256.
        on_epoch: Called with the row of each epoch, those of the warm start first.

    Returns:
        The trained model, as it was written.
    """
    settings = params.experiments[experiment]
    runtime.prepare(settings.training.seed, settings.training.precision)
    folder = layout.models(experiment)
    lesson = Lesson.of(params, experiment)
    rows = history.read(folder / layout.INITIAL_HISTORY)
    for row in rows:
        on_epoch(row)

    def tell(row: Row) -> None:
        history.say(row)
        on_epoch(row)

    with strategies.scope(settings.training), unfinished(params, experiment, "fine_tune") as path:
        model = keras.models.load_model(folder / layout.INITIAL_MODEL, compile=False)
        rows += phases.run(
            model,
            params.phase(experiment, "fine_tune"),
            lesson,
            name="fine_tune",
            first_epoch=len(rows),
            checkpoint=Checkpoint(path),
            on_epoch=tell,
        )
        keras_file.save(model, folder / layout.MODEL)
        history.write(rows, folder / layout.HISTORY)
        write_json(folder / layout.LINEAGE, {**record, "model_sha256": sha256_file(folder / layout.MODEL)})
    return model
