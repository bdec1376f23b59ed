"""One shard: the pixels of some images in an HDF5 file, and what is known of each in a small table beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np
import pyarrow as pa

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.artifacts import shards, table
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import atomic
from glassbox.shards import compiled, decode
from glassbox.shards.decode import Decoded
from glassbox.shards.png import UnreadableImageError

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.artifacts.members import Member
    from glassbox.artifacts.table import Table
    from glassbox.params.datasets import Method

_STAGE = "resize"
#: Bytes of images that a worker holds before it writes them: memory stays flat whatever a shard's size.
_BLOCK_BYTES = 8 * 1024 * 1024


class Stored(NamedTuple):
    """What an earlier build stored of an image: in which row of which shard, which holds so many images."""

    shard: Path
    images: int
    row: int
    pixels_sha256: str
    width: int
    height: int
    channels: int


class Image(NamedTuple):
    """An image of a shard: where its file lies, and what an earlier build stored of the same file, if one did."""

    image_id: str
    member: Member
    stored: Stored | None = None


@dataclass(frozen=True)
class ShardPlan:
    """One shard to write: which images of which archive, how, and where; absolute paths, seen by every worker."""

    archive: Path
    images: tuple[Image, ...]
    size: int
    method: Method
    path: Path

    def read(self) -> Table:
        """What is known of the images: rows as `shards.INDEX`, and in the facts `rejected`, as `shards.REJECTED`.

        Raises:
            ArtifactError: The table is missing or damaged.
        """
        return table.read(self.path.with_suffix(".parquet"), _STAGE, shards.INDEX)

    @property
    def is_done(self) -> bool:
        """Whether `write` finished, and what it wrote is whole: it writes the shard first, and then the table."""
        try:
            self.read()
        except ArtifactError:
            return False
        return self.path.exists()


class Written(NamedTuple):
    """What came of a plan."""

    images: int  #: Images handled.
    decoded: int  #: Those that were decoded, not copied from an earlier build.
    slow: str  #: Why this worker has no compiled loops, or nothing.


def write(plan: ShardPlan) -> Written:
    """Writes a shard and its table. Runs on a worker."""
    index: list[tuple[object, ...]] = []
    rejected: list[dict[str, str]] = []
    copied = 0
    with atomic(plan.path) as temporary:
        with zips.opened(plan.archive) as archive, h5py.File(temporary, "w", libver="earliest") as file:
            images = shards.create(file, len(plan.images), plan.size)
            block = np.empty((max(1, _BLOCK_BYTES // plan.size**2), plan.size, plan.size), np.uint8)
            for image in plan.images:
                try:
                    content = zips.read(archive, image.member)
                    earlier = _copy(image.stored, plan.size) if image.stored else None
                    pixels, *shape = earlier or decode.decode(content, plan.size, plan.method)
                except (ArchiveError, UnreadableImageError) as error:
                    reason = error.found if isinstance(error, ArchiveError) else str(error)
                    rejected.append({"image_id": image.image_id, "member": image.member.name, "reason": reason})
                    continue
                copied += earlier is not None
                block[len(index) % len(block)] = pixels
                hashes = (image.member.sha256, shards.digest(pixels))
                index.append((image.image_id, plan.path.name, len(index), *hashes, *shape))
                if len(index) % len(block) == 0:
                    images[len(index) - len(block) : len(index)] = block
            if rest := len(index) % len(block):
                images[len(index) - rest : len(index)] = block[:rest]
        if rejected:
            _shorten(temporary, len(index), len(block))
    rows = pa.Table.from_pylist([dict(zip(shards.INDEX.names, row, strict=True)) for row in index], shards.INDEX)
    table.write(plan.path.with_suffix(".parquet"), rows, _STAGE, {"rejected": rejected})
    return Written(len(plan.images), len(plan.images) - copied, compiled.load().reason)


def _copy(stored: Stored, size: int) -> Decoded | None:
    """What an earlier build stored, or None where it is not there or not what it was."""
    try:
        # Mapped for this image alone: while it lasts, what was read of it counts as the worker's memory.
        pixels = shards.mapped(stored.shard, stored.images, size, "")[stored.row]
    except ArtifactError:
        return None
    if shards.digest(pixels) != stored.pixels_sha256:
        return None
    return Decoded(pixels, stored.width, stored.height, stored.channels)


def _shorten(path: Path, count: int, step: int) -> None:
    """Leaves the first `count` images of a shard; a contiguous dataset cannot shrink, so they get a new file."""
    with (
        atomic(path) as temporary,
        h5py.File(path, "r") as long,
        h5py.File(temporary, "w", libver="earliest") as short,
    ):
        images = shards.create(short, count, long["images"].shape[1])
        for start in range(0, count, step):
            block = slice(start, min(start + step, count))
            images[block] = long["images"][block]
