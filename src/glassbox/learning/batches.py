"""Batches of a fold, gathered from memory-mapped shards, varied, and prepared ahead by one thread."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from glassbox.artifacts.split import labels
from glassbox.learning import augment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from glassbox.artifacts.shards import Images
    from glassbox.learning.augment import Variations
    from glassbox.params.experiments import Augmentation

    Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]

T = TypeVar("T")
_AHEAD = 3
# The streams that are drawn from one seed.
_ORDER, _VARIATION = 0, 1


@dataclass(frozen=True)
class Fold:
    """The images of a fold.

    Attributes:
        images: Where they lie.
        positions: int64 (N,), for `images.gather`.
        labels: float32 (N, classes), 0 or 1.
        draws: int32 (N,), how often each is shown in a pass.
    """

    images: Images
    positions: NDArray[np.int64]
    labels: NDArray[np.float32]
    draws: NDArray[np.int32]

    @classmethod
    def of(cls, images: Images, rows: pd.DataFrame) -> Fold:
        """A fold from its rows, as `artifacts.split` reads them.

        Raises:
            ArtifactError: The shards hold other images than the fold names.
        """
        return cls(
            images,
            images.positions(rows["image_id"].tolist(), rows["pixels_sha256"].tolist()),
            rows[labels(rows)].to_numpy(np.float32),
            rows["draws"].to_numpy(np.int32),
        )

    def __len__(self) -> int:
        return len(self.positions)


def steps(fold: Fold, batch_size: int) -> int:
    """Batches in a pass over a training fold: whole ones only, at least one."""
    return max(int(fold.draws.sum()) // batch_size, 1)


def training(
    fold: Fold,
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    *,
    first_pass: int,
    first_step: int = 0,
) -> Generator[Batch]:
    """Batches of training without end, pass after pass: each image as often as it is drawn, shuffled, varied anew.

    Order and variation depend on `seed` and the number of the pass alone, so any step can be replayed. Only
    whole batches are given (another shape would be compiled anew); the remainder left out is another one in each
    pass. Batches are made ahead while the network trains, across the ends of passes and epochs.

    Args:
        fold: What is trained on.
        augmentation: The ranges of variation.
        batch_size: Images in a batch.
        seed: The experiment's seed.
        first_pass: Number of the first pass.
        first_step: Steps from the beginning of that pass to begin at.

    Yields:
        uint8 (batch, size, size) and float32 (batch, classes).
    """
    repeated = np.repeat(np.arange(len(fold)), fold.draws)
    in_pass = steps(fold, batch_size)
    number, order, variations = -1, repeated, None

    def make(step: int) -> Batch:
        nonlocal number, order, variations
        wanted, position = first_pass + step // in_pass, step % in_pass
        if wanted != number or variations is None:
            number = wanted
            order = np.random.default_rng((seed, _ORDER, number)).permutation(repeated)
            variations = augment.draw(augmentation, len(order), (seed, _VARIATION, number))
        chosen = slice(position * batch_size, (position + 1) * batch_size)
        images = fold.images.gather(fold.positions[order[chosen]])
        return augment.apply(images, variations.some(chosen)), fold.labels[order[chosen]]

    return _ahead(make, itertools.count(first_step))


def in_order(fold: Fold, batch_size: int, variations: Variations | None = None) -> Generator[NDArray[np.uint8]]:
    """The images of a fold once, in its order, for prediction; uint8 (batch, size, size).

    The last batch is filled up with its last image, so that all have one shape: cut the predictions to
    `len(fold)`.

    Args:
        fold: The images.
        batch_size: Images in a batch.
        variations: One an image, or None for the images as they are.
    """
    order = np.minimum(np.arange(-(-len(fold) // batch_size) * batch_size), len(fold) - 1)

    def make(step: int) -> NDArray[np.uint8]:
        chosen = order[step * batch_size : (step + 1) * batch_size]
        images = fold.images.gather(fold.positions[chosen])
        return images if variations is None else augment.apply(images, variations.some(chosen))

    return _ahead(make, range(len(order) // batch_size))


@dataclass(frozen=True)
class _End:
    """The end of what is made, and why it came to one."""

    error: BaseException | None


def _ahead(make: Callable[[int], T], steps: Iterable[int]) -> Generator[T]:
    """Yields what `make` makes of each step, in order, made by one thread that runs some steps ahead."""
    made: queue.Queue[T | _End] = queue.Queue(_AHEAD)
    stop = threading.Event()
    thread = threading.Thread(target=_work, args=(make, steps, made, stop), daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is None:
                return
            else:
                raise item.error
    finally:
        stop.set()
        thread.join()


def _work(
    make: Callable[[int], T], steps: Iterable[int], made: queue.Queue[T | _End], stop: threading.Event
) -> None:
    def put(item: T | _End) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return made.put(item, timeout=0.1)
        return None

    cv2.setNumThreads(0)  # the cores belong to the network
    try:
        for step in steps:
            if stop.is_set():
                return
            put(make(step))
    except BaseException as error:  # noqa: BLE001 (it is raised again where the batch is awaited)
        put(_End(error))
    else:
        put(_End(None))
