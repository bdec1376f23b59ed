"""What a network learns from and is judged by: the same in both phases of an experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from glassbox import layout
from glassbox.errors import ModelError
from glassbox.learning.batches import Fold, read_split
from glassbox.shards.read import Images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params import Augmentation, Params, Task, Training

#: Tells the draw of the images to train on from every other draw from the experiment's seed.
_IMAGES = 3


@dataclass(frozen=True)
class Lesson:
    """The folds, and how they are shown.

    Attributes:
        task: The question that the labels answer.
        train: What is trained on.
        validation: What decides when to stop; the test fold is never seen here.
        augmentation: How training images vary.
        training: Seed, batch size and class weights.
    """

    task: Task
    train: Fold
    validation: Fold
    augmentation: Augmentation
    training: Training

    @classmethod
    def of(cls, params: Params, experiment: str) -> Lesson:
        """The lesson of an experiment, from its shards and its split.

        Raises:
            ModelError: More images are to be trained on than the training fold has.
        """
        settings = params.experiments[experiment]
        images, split = Images(layout.shards(settings.dataset)), read_split(settings.split)
        return cls(
            params.splits[settings.split].labels.task,
            _drawn(Fold.of(images, split, "train"), settings.training, f"experiments.{experiment}.training"),
            Fold.of(images, split, "validation"),
            settings.augmentation,
            settings.training,
        )

    @property
    def batch_size(self) -> int:
        """Images in a batch; a fold smaller than one is shown in one."""
        return min(self.training.batch_size, int(self.train.draws.sum()))

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


def _drawn(fold: Fold, training: Training, place: str) -> Fold:
    """`training.images` of a fold, in its order; of two numbers the smaller draws some of the larger's images."""
    if training.images is None:
        return fold
    # `balance: smallest` shows some images in no epoch.
    shown = np.flatnonzero(fold.draws)
    if training.images > len(shown):
        raise ModelError(
            f"{place}.images is {training.images:,}; the training fold has {len(shown):,}",
            "no more images than there are",
            f"lower {place}.images, set it to null for all of them, or let the split sample more",
        )
    drawn = np.random.default_rng((training.seed, _IMAGES)).permutation(shown)[: training.images]
    drawn.sort()
    return replace(fold, positions=fold.positions[drawn], labels=fold.labels[drawn], draws=fold.draws[drawn])
