"""The shards of a dataset: HDF5 files of images, their index, and the table of what could not be read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa

from glassbox.artifacts import table
from glassbox.artifacts.damage import ArtifactError
from glassbox.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: `source_sha256` is of the image file, `pixels_sha256` of the stored image's bytes, row by row.
INDEX = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("row", pa.int32()),
        ("source_sha256", pa.string()),
        ("pixels_sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("channels", pa.int8()),
    ]
)
REJECTED = pa.schema([("image_id", pa.string()), ("member", pa.string()), ("reason", pa.string())])


def folder(dataset: str) -> Path:
    """Where the shards of a dataset lie."""
    return DATA / "shards" / dataset


def digest(pixels: NDArray[np.uint8]) -> str:
    """The SHA-256 of an image's bytes, row by row, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def create(shard: h5py.File, count: int, size: int) -> h5py.Dataset:
    """The images of a new shard, uint8 (count, size, size), contiguous, so that they can be mapped into memory."""
    return shard.create_dataset("images", (count, size, size), np.uint8, track_times=False)


def write_tables(
    dataset: str, target: Path, index: pa.Table, rejected: pa.Table, made_of: Mapping[str, Any]
) -> None:
    """Writes `index.parquet` and `rejected.parquet` of a dataset into a folder of shards.

    Args:
        dataset: Key of the dataset.
        target: The folder.
        index: As `INDEX`.
        rejected: As `REJECTED`: what could not be read, and why.
        made_of: What the shards are made of, as JSON; `size` (pixels) among it.
    """
    table.write(target / "index.parquet", index, f"resize@{dataset}", made_of)
    table.write(target / "rejected.parquet", rejected, f"resize@{dataset}")


def read_index(dataset: str) -> table.Table:
    """The index of a dataset: rows as `INDEX`, and what the shards are made of."""
    return table.read(folder(dataset) / "index.parquet", f"resize@{dataset}", INDEX)


def read_rejected(dataset: str) -> list[str]:
    """The images of a dataset that could not be read."""
    rows, _ = table.read(folder(dataset) / "rejected.parquet", f"resize@{dataset}", REJECTED)
    return [str(image) for image in rows["image_id"].to_pylist()]


class Images:
    """The images of a dataset, by their position in its index: each is compared with its digest when first read.

    The shards are mapped, not read: the operating system keeps what is used and lets go of the rest, and memory
    stays flat whatever the cohort's size.

    Args:
        dataset: Key of the dataset.

    Attributes:
        size: Width and height of an image in pixels.
    """

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        rows, made_of = read_index(dataset)
        self.size = int(made_of["size"])
        names = np.array(rows["shard"].to_pylist(), np.str_)
        shards, self._shard, held = np.unique(names, return_inverse=True, return_counts=True)
        self._paths = [folder(dataset) / shard for shard in shards]
        self._maps = [
            mapped(path, count, self.size, dataset) for path, count in zip(self._paths, held.tolist(), strict=True)
        ]
        self._row = rows["row"].to_numpy()
        self._digests = rows["pixels_sha256"].to_pylist()
        self._position = {image: position for position, image in enumerate(rows["image_id"].to_pylist())}
        self._unread = np.ones(len(names), np.bool_)

    def positions(self, image_ids: Sequence[str], pixels_sha256: Sequence[str]) -> NDArray[np.int64]:
        """Positions of images, for `gather`; int64 (N,).

        Args:
            image_ids: Which.
            pixels_sha256: What whoever names them knows each image to be; another one is refused.
        """
        positions = []
        for image, known in zip(image_ids, pixels_sha256, strict=True):
            position = self._position.get(image)
            if position is None or self._digests[position] != known:
                what = "lacks" if position is None else "holds other pixels under the name of"
                path = folder(self._dataset) / "index.parquet"
                raise ArtifactError(path, f"{what} the image {image} of the split", f"resize@{self._dataset}")
            positions.append(position)
        return np.array(positions, np.int64)

    def gather(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copies images out of the shards, in the order asked for; uint8 (N, size, size)."""
        batch = np.empty((len(positions), self.size, self.size), np.uint8)
        for slot, position in enumerate(positions):
            batch[slot] = self._maps[self._shard[position]][self._row[position]]
            if self._unread[position]:
                self._verify(int(position), batch[slot])
        return batch

    def _verify(self, position: int, pixels: NDArray[np.uint8]) -> None:
        if (found := digest(pixels)) != self._digests[position]:
            raise ArtifactError(
                self._paths[self._shard[position]],
                f"has in row {self._row[position]} pixels of SHA-256 {found}, not {self._digests[position]}",
                f"resize@{self._dataset}",
            )
        self._unread[position] = False


def mapped(path: Path, count: int, size: int, dataset: str) -> NDArray[np.uint8]:
    """The images of a shard, uint8 (count, size, size), mapped into memory; count is at least 1."""
    stage = f"resize@{dataset}"
    try:
        with h5py.File(path, "r") as shard:
            images = shard["images"]
            offset, shape, kind = images.id.get_offset(), images.shape, images.dtype
        if shape != (count, size, size) or kind != np.uint8:
            raise ArtifactError(path, f"holds {kind} {shape}, not uint8 {(count, size, size)}", stage)
        return np.memmap(path, np.uint8, "r", offset, shape)
    except FileNotFoundError:
        raise ArtifactError(path, "is not there", stage) from None
    # h5py's errors over a damaged header, and NumPy's over an offset that leads nowhere.
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        raise ArtifactError(path, f"is no whole shard: {error}", stage) from None
