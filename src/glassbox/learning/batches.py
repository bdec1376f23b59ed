"""Batches of a fold, gathered from memory-mapped shards, augmented, and prepared ahead by one thread."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import pandas as pd

from glassbox import layout
from glassbox.learning import augment
from glassbox.shards.read import Images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from glassbox.learning.augment import Affines
    from glassbox.params import Augmentation, Experiment

    Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]

T = TypeVar("T")
_AHEAD = 3
# The streams that are drawn from one seed.
_ORDER, _AFFINE = 0, 1


@dataclass(frozen=True)
class Fold:
    """The images of a fold.

    Attributes:
        images: Where they lie.
        positions: int64 (N,), for `images.gather`.
        labels: float32 (N, classes), one-hot.
        draws: int32 (N,), how often each is shown in an epoch.
    """

    images: Images
    positions: NDArray[np.int64]
    labels: NDArray[np.float32]
    draws: NDArray[np.int32]

    @classmethod
    def of(cls, images: Images, split: pd.DataFrame, fold: str) -> Fold:
        """The rows of a split that belong to `fold`."""
        rows = split[split["fold"] == fold]
        labels = rows[[column for column in split if column.startswith(layout.LABEL)]]
        return cls(
            images,
            images.positions(rows["image_id"].tolist()),
            labels.to_numpy(np.float32),
            rows["draws"].to_numpy(np.int32),
        )

    def __len__(self) -> int:
        return len(self.positions)


def folds(experiment: Experiment) -> tuple[Fold, Fold]:
    """The training and the validation fold of an experiment."""
    images = Images(layout.shards(experiment.dataset))
    split = pd.read_parquet(layout.split(experiment.split) / "split.parquet")
    return Fold.of(images, split, "train"), Fold.of(images, split, "validation")


def steps(fold: Fold, batch_size: int) -> int:
    """Batches in an epoch of training: whole ones only, at least one."""
    return max(int(fold.draws.sum()) // batch_size, 1)


def training(fold: Fold, augmentation: Augmentation, batch_size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """The batches of one epoch: each image as often as it is drawn, shuffled, each showing augmented anew.

    Order and augmentation depend on `seed` and `epoch` alone, so any epoch can be replayed. Only whole batches
    are given (another shape would be compiled anew); the remainder left out is another one in each epoch.

    Yields:
        uint8 (batch, size, size) and float32 (batch, classes).
    """
    order = np.random.default_rng((seed, _ORDER, epoch)).permutation(np.repeat(np.arange(len(fold)), fold.draws))
    affines = augment.draw(augmentation, len(order), (seed, _AFFINE, epoch))
    transformations = augment.matrices(affines, fold.images.size)

    def make(step: int) -> Batch:
        chosen = slice(step * batch_size, (step + 1) * batch_size)
        images = fold.images.gather(fold.positions[order[chosen]])
        return augment.warp(images, transformations[chosen]), fold.labels[order[chosen]]

    return _ahead(make, steps(fold, batch_size))


def in_order(fold: Fold, batch_size: int, affines: Affines | None = None) -> Iterator[NDArray[np.uint8]]:
    """The images of a fold once, in its order, for prediction; uint8 (batch, size, size).

    The last batch is filled up with its last image, so that all have one shape: cut the predictions to
    `len(fold)`.

    Args:
        fold: The images.
        batch_size: Images in a batch.
        affines: One transformation an image, or None for the images as they are.
    """
    transformations = None if affines is None else augment.matrices(affines, fold.images.size)
    order = np.minimum(np.arange(-(-len(fold) // batch_size) * batch_size), len(fold) - 1)

    def make(step: int) -> NDArray[np.uint8]:
        chosen = order[step * batch_size : (step + 1) * batch_size]
        images = fold.images.gather(fold.positions[chosen])
        return images if transformations is None else augment.warp(images, transformations[chosen])

    return _ahead(make, len(order) // batch_size)


def _ahead(make: Callable[[int], T], count: int) -> Iterator[T]:
    """Yields `make(0)`, `make(1)`, ... in order, made by one thread that runs some batches ahead."""
    made: queue.Queue[T | BaseException] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: T | BaseException) -> None:
        while not stop.is_set():
            try:
                return made.put(item, timeout=0.1)
            except queue.Full:
                continue
        return None

    def work() -> None:
        cv2.setNumThreads(0)  # the cores belong to the network
        try:
            for step in range(count):
                if stop.is_set():
                    return
                put(make(step))
        except BaseException as error:  # noqa: BLE001 (it is raised again where the batch is awaited)
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(count):
            item = made.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
