"""Films for the benchmarks of training: shards of noise on the disk, half of them with a bright square."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pyarrow as pa

from glassbox.artifacts import shards
from glassbox.training.batches import Fold

if TYPE_CHECKING:
    from pathlib import Path

_DATASET, _SHARD = "films", 256


def fold(folder: Path, images: int, size: int) -> Fold:
    """Makes `folder` a project with a dataset of `images` films of `size` pixels, and gives a fold of all of them.

    The work on a film does not depend on what it shows.
    """
    positive = np.arange(images) % 2 == 1
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):
        rows = [row for start in range(0, images, _SHARD) for row in _write(start, positive[start:], size)]
        target, rejected = shards.folder(_DATASET), shards.REJECTED.empty_table()
        index = pa.table(list(zip(*rows, strict=True)), schema=shards.INDEX)
        shards.write_tables(_DATASET, target, index, rejected, {"size": size})
        stored = shards.Images(_DATASET)
    labels = np.stack([~positive, positive], axis=1).astype(np.float32)
    return Fold(stored, np.arange(images), labels, np.ones(images, np.int32))


def _write(start: int, positive: np.ndarray, size: int) -> list[tuple[object, ...]]:
    """Writes the shard that begins with film number `start`; its rows of the index."""
    positive = positive[:_SHARD]
    noise = np.random.default_rng(1).integers(30, 200, (len(positive), size, size), np.uint8)
    pixels = np.roll(noise, start // _SHARD, axis=2)
    pixels[positive, size // 4 : size // 2, size // 4 : size // 2] = 230
    name = f"part-{start // _SHARD:05d}.h5"
    shards.folder(_DATASET).mkdir(parents=True, exist_ok=True)
    with h5py.File(shards.folder(_DATASET) / name, "w", libver="earliest") as shard:
        shards.create(shard, len(pixels), size)[:] = pixels
    return [
        (str(start + row), name, row, "", shards.digest(film), size, size, 1) for row, film in enumerate(pixels)
    ]
