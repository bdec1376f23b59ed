"""Images of a dataset, gathered from memory-mapped shards: memory stays flat whatever the cohort's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow.parquet as pq

from glassbox.errors import SplitError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class Images:
    """The images of a folder of shards, by position in its index.

    The shards are mapped, not read: the operating system keeps what is used and lets go of the rest.

    Attributes:
        size: Width and height of an image in pixels.
    """

    def __init__(self, folder: Path) -> None:
        index = pq.read_table(folder / "index.parquet", columns=["image_id", "shard", "row"])
        names = index["shard"].to_pylist()
        shards = sorted(set(names))
        self._maps = [mapped(folder / shard) for shard in shards]
        number = {shard: position for position, shard in enumerate(shards)}
        self._shard = np.array([number[name] for name in names], np.int32)
        self._row = index["row"].to_numpy()
        self._position = {image: position for position, image in enumerate(index["image_id"].to_pylist())}
        self.size = self._maps[0].shape[1]

    def positions(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Positions of images, for `gather`; int64 (N,).

        Raises:
            SplitError: An image is not in these shards.
        """
        try:
            return np.array([self._position[image] for image in image_ids], np.int64)
        except KeyError as error:
            raise SplitError(
                f"image {error} is not in the shards",
                "a split of images that the dataset holds",
                "run `dvc repro`, which makes both from one catalog",
            ) from None

    def gather(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies images out of the shards, in the order asked for; uint8 (N, size, size)."""
        batch = np.empty((len(positions), self.size, self.size), np.uint8)
        for slot, position in enumerate(positions):
            batch[slot] = self._maps[self._shard[position]][self._row[position]]
        return batch


def mapped(path: Path) -> NDArray[np.uint8]:
    """The images of a shard, uint8 (N, size, size), mapped into memory; N is at least 1."""
    with h5py.File(path, "r") as shard:
        images = shard["images"]
        offset, shape = images.id.get_offset(), images.shape
    return np.memmap(path, np.uint8, "r", offset, shape)
