"""Which images of a fold are shown, and in which order: drawn from the seed, and so replayed without a network.

What this module draws decides of the bytes of every model; and as long as a model is on record, it says how often
an image was shown to it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from glassbox.keyed import Purpose, ranks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# The streams that are drawn from one seed.
_ORDER, VARIATION = 0, 1


class Stretch(NamedTuple):
    """Epochs that are trained one after the other, on one stream of batches: a phase, or a cell of a grid."""

    first_pass: int  #: Number of the pass that it begins with.
    epochs: int  #: How many were trained.
    steps_per_epoch: int | None  #: None for as many as a pass has.


def trained_on(ids: Sequence[str], draws: NDArray[np.integer], images: int | None, seed: int) -> NDArray[np.int64]:
    """The places in a fold, in its order, of the images that are trained on: `training.images` of those it shows.

    They are drawn by a hash of each id, so that an image more or less in the fold changes one of them; a smaller
    number draws some of a larger one's.

    Args:
        ids: `image_id` of each image of the fold.
        draws: int (N,), how often the fold shows each in a pass; those that it never shows are not drawn.
        images: How many are drawn, or None for the fold as it is.
        seed: That of the training.

    Returns:
        int64 (images,), or (N,); fewer where the fold shows fewer.
    """
    if images is None:
        return np.arange(len(draws))
    shown = np.flatnonzero(draws)
    return shown[ranks([ids[place] for place in shown.tolist()], Purpose.TRAINING, seed) < images]


def batch_size(draws: NDArray[np.integer], asked: int) -> int:
    """Images in a batch; a fold that shows fewer than were asked for is shown in one."""
    return min(asked, int(draws.sum()))


def steps(draws: NDArray[np.integer], batch_size: int) -> int:
    """Batches in a pass over a training fold: whole ones only, at least one."""
    return max(int(draws.sum()) // batch_size, 1)


def passes(
    draws: NDArray[np.integer], batch_size: int, seed: int, first_pass: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The images of pass after pass without end, each as often as it is drawn, shuffled, batch after batch.

    The order depends on `seed` and the number of the pass alone. The remainder that fills no batch is left out: it
    is another one in each pass.

    Yields:
        The number of the pass, and int64 (steps * batch_size,): places in the fold. A fold that fills no batch
        gives what it shows.
    """
    repeated = np.repeat(np.arange(len(draws)), draws)
    shown = steps(draws, batch_size) * batch_size
    for number in itertools.count(first_pass):
        yield number, np.random.default_rng((seed, _ORDER, number)).permutation(repeated)[:shown]


def exposures(draws: NDArray[np.integer], batch_size: int, seed: int, stretch: Stretch) -> NDArray[np.int64]:
    """How often each image of a fold was shown while some epochs were trained; int64 (N,)."""
    in_pass = steps(draws, batch_size)
    left = stretch.epochs * (stretch.steps_per_epoch or in_pass)
    counts = np.zeros(len(draws), np.int64)
    for _, shown in itertools.islice(passes(draws, batch_size, seed, stretch.first_pass), -(-left // in_pass)):
        counts += np.bincount(shown[: left * batch_size], minlength=len(draws))
        left -= in_pass
    return counts
