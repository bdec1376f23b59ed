"""Fine-tuning: the warm-started network trained on, and the record of what the model was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import history, model
from glassbox.learning import initial, keras_file, phases, record, strategies
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.lesson import Lesson

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.history import Row
    from glassbox.artifacts.model import Lineage
    from glassbox.artifacts.recipe import PhaseRecipe


def fine_tune(settings: PhaseRecipe, made: dict[str, Any], on_epoch: Callable[[Row], None]) -> Lineage:
    """Trains the warm-started model as `fine_tune` says and writes it, the whole history and their record.

    Args:
        settings: The recipe of the fine-tuning.
        made: What `record.origin` says of it.
        on_epoch: Called with the row of each epoch, those of the warm start first.

    Returns:
        The record, as it was written.

    Raises:
        ModelError: The network cannot be trained as asked.
        ArtifactError: The data or the initial model are missing or damaged.
    """
    initial.prepare(settings)
    before = model.read_lineage(settings.experiment, "warm_start")
    rows = model.read_history(before, "warm_start")
    lesson = Lesson.of(settings)
    for row in rows:
        on_epoch(row)

    def tell(row: Row) -> None:
        phases.say(row)
        on_epoch(row)

    with (
        strategies.scope(lesson.training),
        record.unfinished(Path("fine_tune") / settings.experiment, made) as place,
    ):
        network = keras_file.load(model.verified(before, "warm_start"))
        rows += phases.run(
            network,
            settings.phase,
            lesson,
            name="fine_tune",
            first_epoch=len(rows),
            checkpoint=Checkpoint(place.with_suffix(".npz")),
            on_epoch=tell,
        )
        at = model.files(settings.experiment)
        keras_file.save(network, at.model)
        history.write(rows, at.history)
        return model.write_lineage(settings.experiment, "fine_tune", made)
