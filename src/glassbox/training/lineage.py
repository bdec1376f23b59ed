"""What a training is made from, for the lineage of its model; and where it is put aside unfinished."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import keras

from glassbox.artifacts import code, model
from glassbox.files import fingerprint
from glassbox.networks.runtime import machine
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from glassbox.artifacts.code import Code
    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.experiments import PhaseName


def origin(recipe: PhaseRecipe, phase: PhaseName) -> dict[str, Any]:
    """What the model of a phase is made from, with its fingerprint, as `model.write_lineage` takes it.

    That is the recipe as it runs, the folds that are seen, initial weights or the model that is trained on, code,
    packages and the kind of machine; neither the archive nor the test fold, which change no byte of it.

    Raises:
        ArtifactError: Some of it is missing or damaged.
    """
    reached = code.read(phase)
    made: dict[str, Any] = {
        "experiment": recipe.experiment,
        "params": model.settings(recipe, phase),
        "data": model.seen(recipe),
        "code": {phase: reached.sha256},
        "packages": packages(reached),
        "machine": machine(recipe.training.threads),
    }
    if phase == "fine_tune":
        before = model.read_lineage(recipe.experiment, "warm_start")
        made["params"] = {**before.params, **made["params"]}
        made["data"] |= {"warm_start_sha256": before.model_sha256}
        made["code"] |= before.code
    return model.made_from(made)


def packages(reached: Code) -> dict[str, str]:
    """The installed versions of Keras' backend, and of the packages that some code reaches."""
    return {name: version(name) for name in sorted({keras.backend.backend(), *reached.packages})}


@contextmanager
def unfinished(folder: Path, made_from: Any) -> Iterator[Path]:
    """Yields a path in a folder of `work/`, which is removed when the block ends well.

    It is another path for whatever is made from something else: what was put aside would not lead to the bytes of
    an undisturbed training.

    Args:
        folder: Relative to `work/`, of this stage and key alone.
        made_from: What decides of every byte, as JSON.
    """
    place = WORK / folder
    yield place / fingerprint(made_from)
    shutil.rmtree(place, ignore_errors=True)
