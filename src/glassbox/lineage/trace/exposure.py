"""How often a training showed each image: replayed from the seed, from what its record and its history say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from glassbox.params.base import Frozen
from glassbox.params.experiments import PHASES, PhaseName
from glassbox.training import order
from glassbox.training.order import Stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from glassbox.artifacts.history import Epoch
    from glassbox.artifacts.model import Lineage
    from glassbox.lineage.trace.records import Grid


class Showing(Frozen):
    """All that decides how often a training shows the images of its fold."""

    seed: NonNegativeInt
    batch_size: PositiveInt
    #: `training.images`: None for all that the fold shows.
    images: PositiveInt | None
    #: What was trained of each phase; of a grid's cell that is its fine-tuning.
    stretches: tuple[tuple[PhaseName, Stretch], ...]

    @classmethod
    def of(cls, lineage: Lineage, epochs: Sequence[Epoch]) -> Showing:
        """That of a training.

        Args:
            lineage: Its record.
            epochs: Its whole history: early stopping gives a model the weights of its best epoch, and what was
                trained after that was shown all the same.

        Raises:
            KeyError, ValueError: The record is one of another version.
        """
        trained = Counter(epoch["phase"] for epoch in epochs)
        stretches: list[tuple[PhaseName, Stretch]] = []
        for phase in PHASES:
            if phase in lineage.params:
                # Passes are numbered as epochs are, whatever an epoch shows of a pass.
                first = sum(stretch.epochs for _, stretch in stretches)
                stretch = Stretch(first, trained[phase], lineage.params[phase]["steps_per_epoch"])
                stretches.append((phase, stretch))
        training = {name: lineage.params["training"][name] for name in ("seed", "batch_size", "images")}
        return cls(**training, stretches=tuple(stretches))

    @classmethod
    def of_cells(cls, grid: Grid, images: int) -> Showing:
        """That of each of the cells of a grid that train on so many images."""
        stretch = Stretch(0, grid.epochs, grid.steps_per_epoch)
        return cls(seed=grid.seed, batch_size=grid.batch_size, images=images, stretches=(("fine_tune", stretch),))


def exposures(
    showing: Showing, ids: Sequence[str], draws: NDArray[np.integer]
) -> dict[PhaseName, NDArray[np.int64]]:
    """How often each image of a training fold was shown.

    Args:
        showing: How.
        ids: `image_id` of each image of the fold, in its order.
        draws: int (N,), how often the fold shows each in a pass.

    Returns:
        Phase -> int64 (N,).
    """
    chosen = order.trained_on(ids, draws, showing.images, showing.seed)
    size = order.batch_size(draws[chosen], showing.batch_size)
    found: dict[PhaseName, NDArray[np.int64]] = {}
    for phase, stretch in showing.stretches:
        found[phase] = np.zeros(len(draws), np.int64)
        found[phase][chosen] = order.exposures(draws[chosen], size, showing.seed, stretch)
    return found


def shown(lineage: Lineage, epochs: Sequence[Epoch], rows: pd.DataFrame) -> NDArray[np.int64]:
    """How often a model was shown each image of its training fold, in all phases together; int64 (N,).

    Args:
        lineage: The model's record.
        epochs: Its history.
        rows: The fold, as `artifacts.split` reads it.
    """
    found = exposures(Showing.of(lineage, epochs), rows["image_id"].tolist(), rows["draws"].to_numpy())
    return sum(found.values(), np.zeros(len(rows), np.int64))
