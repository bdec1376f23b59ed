"""Films for the benchmarks of training: shards of noise on the disk, half of them with a bright square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glassbox.learning.batches import Fold
from glassbox.shards.read import Images

if TYPE_CHECKING:
    from pathlib import Path

_SHARD = 256


def fold(folder: Path, images: int, size: int) -> Fold:
    """Writes shards of `images` films of `size` pixels into `folder`, and gives a fold of all of them.

    The work on a film does not depend on what it shows.
    """
    folder.mkdir(parents=True)
    positive = np.arange(images) % 2 == 1
    generator = np.random.default_rng(1)
    noise = generator.integers(30, 200, (_SHARD, size, size), np.uint8)
    for start in range(0, images, _SHARD):
        pixels = np.roll(noise, start // _SHARD, axis=2)[: images - start]
        pixels[positive[start : start + _SHARD], size // 4 : size // 2, size // 4 : size // 2] = 230
        with h5py.File(folder / f"part-{start // _SHARD:05d}.h5", "w", libver="earliest") as shard:
            shard.create_dataset("images", data=pixels)
    index = {
        "image_id": [str(number) for number in range(images)],
        "shard": [f"part-{number // _SHARD:05d}.h5" for number in range(images)],
        "row": pa.array([number % _SHARD for number in range(images)], pa.int32()),
    }
    pq.write_table(pa.table(index), folder / "index.parquet")
    labels = np.stack([~positive, positive], axis=1).astype(np.float32)
    return Fold(Images(folder), np.arange(images), labels, np.ones(images, np.int32))
