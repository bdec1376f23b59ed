"""One shard: the pixels of some images in an HDF5 file, and what is known of each in two small tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np
import pyarrow as pa

from glassbox.artifacts import shards, table
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import atomic
from glassbox.shards import compiled, decode
from glassbox.shards.decode import Decoded
from glassbox.shards.unreadable import UnreadableImageError
from glassbox.sources import zip as zips
from glassbox.sources.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from glassbox.artifacts.members import Member
    from glassbox.params.datasets import Method

#: The stage, and its two tables, of which each task writes a part.
_STAGE = "resize"
_TABLES = {"index": shards.INDEX, "rejected": shards.REJECTED}
#: Bytes of images that a worker holds before it writes them: memory stays flat whatever a shard's size.
_BLOCK_BYTES = 8 * 1024 * 1024


class Made(NamedTuple):
    """An image that an earlier build has scaled: its row of that build's index."""

    shard: str
    row: int
    source_sha256: str
    pixels_sha256: str
    width: int
    height: int
    channels: int


class Image(NamedTuple):
    """An image of a task: where its file lies, and where an earlier build has it, if one has."""

    image_id: str
    member: Member
    made: Made | None = None


@dataclass(frozen=True)
class Task:
    """One shard to write: which images of which archive, how, and where; absolute paths, seen by every worker."""

    archive: Path
    images: tuple[Image, ...]
    size: int
    method: Method
    folder: Path
    name: str
    #: The folder of the earlier build, and how many images its shards have.
    earlier: Path | None = None
    earlier_shards: tuple[tuple[str, int], ...] = ()

    @property
    def path(self) -> Path:
        """The shard."""
        return self.folder / f"{self.name}.h5"

    def table(self, what: str) -> Path:
        """The shard's part of a table: `index` or `rejected`."""
        return self.folder / f"{self.name}.{what}.parquet"

    def read(self, what: str) -> pa.Table:
        """The shard's part of a table.

        Raises:
            ArtifactError: It is missing or damaged.
        """
        return table.read(self.table(what), _STAGE, _TABLES[what]).rows

    @property
    def is_done(self) -> bool:
        """Whether `write` finished, and what it wrote is whole: it writes the shard first and `rejected` last."""
        try:
            self.read("index")
            self.read("rejected")
        except ArtifactError:
            return False
        return self.path.exists()


class Written(NamedTuple):
    """What came of a task.

    Attributes:
        images: Images handled.
        decoded: Those that were decoded, not taken from an earlier build.
        slow: Why this worker has no compiled loops, or nothing.
    """

    images: int
    decoded: int
    slow: str


def write(task: Task) -> Written:
    """Writes a shard and its parts of the two tables. Runs on a worker."""
    index: list[tuple[object, ...]] = []
    rejected: list[tuple[object, ...]] = []
    made = _Made(task)
    with atomic(task.path) as temporary:
        with zips.opened(task.archive) as archive, h5py.File(temporary, "w", libver="earliest") as shard:
            images = shards.create(shard, len(task.images), task.size)
            block = np.empty((_block(task.size), task.size, task.size), np.uint8)
            for image in task.images:
                try:
                    content = zips.read(archive, image.member)
                    pixels, *shape = made.find(image) or decode.decode(content, task.size, task.method)
                except (ArchiveError, UnreadableImageError) as error:
                    reason = error.found if isinstance(error, ArchiveError) else str(error)
                    rejected.append((image.image_id, image.member.name, reason))
                    continue
                block[len(index) % len(block)] = pixels
                hashes = (image.member.sha256, shards.digest(pixels))
                index.append((image.image_id, task.path.name, len(index), *hashes, *shape))
                if len(index) % len(block) == 0:
                    images[len(index) - len(block) : len(index)] = block
            if rest := len(index) % len(block):
                images[len(index) - rest : len(index)] = block[:rest]
        if rejected:
            _shorten(temporary, len(index))
    _write_part(task, "index", index)
    _write_part(task, "rejected", rejected)
    return Written(len(task.images), len(task.images) - made.taken, compiled.load().reason)


class _Made:
    """The images of an earlier build; one that is not what it was is not believed."""

    def __init__(self, task: Task) -> None:
        self._folder, self._size = task.earlier, task.size
        self._count = dict(task.earlier_shards)
        self.taken = 0

    def find(self, image: Image) -> Decoded | None:
        """What was made of an image if it was made of the same file, or None."""
        made = image.made
        if made is None or self._folder is None or made.source_sha256 != image.member.sha256:
            return None
        try:
            # Mapped for this image alone: while it lasts, what was read of it counts as the worker's memory.
            pixels = shards.mapped(self._folder / made.shard, self._count[made.shard], self._size, "")[made.row]
        except ArtifactError:
            return None
        if shards.digest(pixels) != made.pixels_sha256:
            return None
        self.taken += 1
        return Decoded(pixels, made.width, made.height, made.channels)


def _block(size: int) -> int:
    """Images of a side of `size` pixels that are written together."""
    return max(1, _BLOCK_BYTES // size**2)


def _shorten(path: Path, count: int) -> None:
    """Leaves the first `count` images of a shard; a contiguous dataset cannot shrink, so they get a new file."""
    with (
        atomic(path) as temporary,
        h5py.File(path, "r") as long,
        h5py.File(temporary, "w", libver="earliest") as short,
    ):
        images = shards.create(short, count, long["images"].shape[1])
        step = _block(images.shape[1])
        for start in range(0, count, step):
            block = slice(start, min(start + step, count))
            images[block] = long["images"][block]


def _write_part(task: Task, what: str, rows: Sequence[tuple[object, ...]]) -> None:
    schema = _TABLES[what]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    table.write(task.table(what), pa.table([list(column) for column in columns], schema=schema), _STAGE)
