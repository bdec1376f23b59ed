"""A phase of an experiment: the warm start of its initial network, or the fine-tuning of what that left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import history, model
from glassbox.networks import keras_file, runtime
from glassbox.training import lineage, phases, strategies
from glassbox.training.checkpoint import Checkpoint
from glassbox.training.data import TrainingData

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.history import Epoch
    from glassbox.artifacts.model import Lineage
    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.experiments import PhaseName


def train(
    recipe: PhaseRecipe,
    phase: PhaseName,
    origin: dict[str, Any],
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Lineage:
    """Trains the network of a phase, and writes the model, the history up to it and their lineage.

    Args:
        recipe: The recipe of the phase.
        phase: Its name.
        origin: What `lineage.origin` says of it.
        on_epoch: Called with each finished epoch, those of the warm start first.

    Returns:
        The lineage, as it was written.

    Raises:
        ModelError: The network cannot be built or trained as asked.
        ArtifactError: The data, the weights or the warm-started model are missing or damaged.
    """
    runtime.prepare(recipe.training.seed, recipe.training.precision, recipe.training.threads)
    before = None if phase == "warm_start" else model.read_lineage(recipe.experiment, "warm_start")
    epochs = [] if before is None else model.read_history(before, "warm_start")
    data = TrainingData.of(recipe)
    for epoch in epochs:
        on_epoch(epoch)
    unfinished = lineage.unfinished(Path(phase) / recipe.experiment, origin)
    with strategies.scope(recipe.training), unfinished as place:
        if before is None:
            network = phases.initial(recipe, data)
        else:
            network = keras_file.load(model.verified(before, "warm_start"))
        epochs += phases.run(
            network,
            recipe.phase,
            data,
            name=phase,
            first_epoch=len(epochs),
            checkpoint=Checkpoint(place.with_suffix(".npz")),
            on_epoch=on_epoch,
        )
        files = model.files(recipe.experiment, phase)
        keras_file.save(network, files.model)
        history.write(epochs, files.history)
        return model.write_lineage(recipe.experiment, phase, origin)
