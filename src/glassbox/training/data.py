"""What a network learns from and is judged by: the same in both phases of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glassbox.artifacts import split
from glassbox.artifacts.shards import Images
from glassbox.networks.errors import ModelError
from glassbox.training import order
from glassbox.training.batches import Fold

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.base import Task
    from glassbox.params.experiments import Augmentation, Training


@dataclass(frozen=True)
class TrainingData:
    """The folds, and how they are shown; the test fold is never seen here."""

    task: Task
    train: Fold
    validation: Fold  # decides when to stop
    augmentation: Augmentation  # of the training images
    training: Training

    @classmethod
    def of(cls, recipe: PhaseRecipe) -> TrainingData:
        """The data of an experiment, from its shards and its split.

        Raises:
            ModelError: More images are to be trained on than the training fold has.
            ArtifactError: A fold or the shards are missing or damaged, or do not belong together.
        """
        images, place = Images(recipe.dataset), f"experiments.{recipe.experiment}.training"
        return cls(
            recipe.task,
            Fold.of(images, _drawn(split.read(recipe.split, "train"), recipe.training, place)),
            Fold.of(images, split.shown(recipe.split, "validation")),
            recipe.augmentation,
            recipe.training,
        )

    @property
    def batch_size(self) -> int:
        """Images in a batch; a fold smaller than one is shown in one."""
        return order.batch_size(self.train.draws, self.training.batch_size)

    def class_weights(self) -> NDArray[np.float32] | None:
        """What an image of each class counts in the loss, or None where all count one; float32 (classes,).

        Balanced: N / (C * n) for n of N images in one of C classes, so that the mean over a pass is one.

        Raises:
            ModelError: A class has no image among those drawn from the training fold; the fold itself has some.
        """
        if self.training.class_weight == "none":
            return None
        shown = self.train.draws @ self.train.labels
        if not shown.all():
            raise ModelError(
                f"training.class_weight: balanced, but {int((shown == 0).sum())} of {len(shown)} classes have "
                f"none of the {len(self.train):,} images that are trained on",
                "at least one image of each class",
                "raise training.images, or set training.class_weight to none",
            )
        return np.asarray(shown.sum() / (len(shown) * shown), np.float32)


def _drawn(rows: pd.DataFrame, training: Training, place: str) -> pd.DataFrame:
    """The rows of a fold that are trained on, in its order."""
    ids, draws = rows["image_id"].tolist(), rows["draws"].to_numpy()
    chosen = order.trained_on(ids, draws, training.images, training.seed)
    if training.images is not None and training.images > len(chosen):
        raise ModelError(
            f"{place}.images is {training.images:,}; the training fold has {len(chosen):,}",
            "no more images than there are",
            f"lower {place}.images, set it to null for all of them, or let the split sample more",
        )
    return rows.iloc[chosen]
