"""Batches of a fold, gathered from memory-mapped shards, varied, and made ahead by a thread a core."""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from glassbox.artifacts.split import labels
from glassbox.processor import cores
from glassbox.training import augment, order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from glassbox.artifacts.shards import Images
    from glassbox.params.experiments import Augmentation
    from glassbox.training.augment import Variations

    #: The images of a batch, by their place in the fold, and how each is varied.
    Chosen = tuple[NDArray[np.int64], Variations | None]
    Batch = tuple[NDArray[np.uint8], NDArray[np.float32]]

T = TypeVar("T")
#: Batches a thread that are made or ready before they are asked for.
_AHEAD = 2


@dataclass(frozen=True)
class Fold:
    """The N images of a fold."""

    images: Images
    positions: NDArray[np.int64]  # (N,), for `images.gather`
    labels: NDArray[np.float32]  # (N, classes), 0 or 1
    draws: NDArray[np.int32]  # (N,), how often each is shown in a pass

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


def training(
    fold: Fold,
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    *,
    first_pass: int,
    first_step: int = 0,
) -> Generator[Batch]:
    """Batches of training without end: the images in the order of `order.passes`, varied anew in each pass.

    Order and variation depend on `seed` and the number of the pass alone, so any step can be replayed. Only
    whole batches are given: another shape would be compiled anew. Batches are made ahead while the network trains,
    across the ends of passes and epochs. The first one is `first_step` steps from the beginning of pass number
    `first_pass`.

    Yields:
        uint8 (batch, size, size) and float32 (batch, classes).
    """
    in_pass, count = order.steps(fold.draws, batch_size), int(fold.draws.sum())

    def chosen() -> Iterator[Chosen]:
        for number, shown in order.passes(fold.draws, batch_size, seed, first_pass + first_step // in_pass):
            variations = augment.draw(augmentation, count, (seed, order.VARIATION, number))
            for start in range(0, len(shown), batch_size):
                batch = slice(start, start + batch_size)
                yield shown[batch], variations.some(batch)

    def make(batch: Chosen) -> Batch:
        return _images(fold, batch), fold.labels[batch[0]]

    return _ahead(make, itertools.islice(chosen(), first_step % in_pass, None))


def in_order(fold: Fold, batch_size: int, variations: Variations | None = None) -> Generator[NDArray[np.uint8]]:
    """The images of a fold once, in its order, for prediction; uint8 (batch, size, size).

    The last batch is filled up with its last image, so that all have one shape: cut the predictions to
    `len(fold)`. `variations` has one an image; with None images are as they are.
    """
    count = -(-len(fold) // batch_size) * batch_size
    batches = np.minimum(np.arange(count), len(fold) - 1).reshape(-1, batch_size)
    chosen = ((batch, None if variations is None else variations.some(batch)) for batch in batches)
    return _ahead(lambda batch: _images(fold, batch), chosen)


def _images(fold: Fold, chosen: Chosen) -> NDArray[np.uint8]:
    batch, variations = chosen
    images = fold.images.gather(fold.positions[batch])
    return images if variations is None else augment.apply(images, variations)


def _ahead(make: Callable[[Chosen], T], chosen: Iterator[Chosen]) -> Generator[T]:
    """Yields what `make` makes of each choice, in order, while threads make the next ones.

    What is random was chosen before, by the one thread that asks: how many threads there are changes no byte. An
    error is raised where its batch is awaited. No thread outlives the generator.
    """
    cv2.setNumThreads(0)  # a batch is one thread's work
    threads = cores()
    pool = ThreadPoolExecutor(threads, "batches")
    try:
        made = deque(pool.submit(make, batch) for batch in itertools.islice(chosen, _AHEAD * threads))
        while made:
            first = made.popleft().result()
            made.extend(pool.submit(make, batch) for batch in itertools.islice(chosen, 1))
            yield first
    finally:
        pool.shutdown(cancel_futures=True)
