"""One shard: the pixels of some images in an HDF5 file, and what is known of each in two small tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glassbox.errors import ArchiveError
from glassbox.files import atomic, sha256_file
from glassbox.shards import compiled, decode
from glassbox.shards.decode import Decoded
from glassbox.shards.read import mapped
from glassbox.shards.unreadable import UnreadableImageError
from glassbox.sources import zip as zips

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from glassbox.params import Method
    from glassbox.sources.zip import Member

#: `source_sha256` is of the image file: by it an image that did not change is known. The archive's CRC-32 would
#: not do: a PNG ends each chunk with one of its own, which leaves 16 bits to that of a file with one data chunk.
INDEX = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("row", pa.int32()),
        ("source_sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("channels", pa.int8()),
    ]
)
REJECTED = pa.schema([("image_id", pa.string()), ("member", pa.string()), ("reason", pa.string())])
#: Where the index part of a shard has the SHA-256 of it.
_SHA256 = b"shard_sha256"
#: Bytes of images that a worker holds before it writes them: memory stays flat whatever a shard's size.
_BLOCK_BYTES = 8 * 1024 * 1024


class Made(NamedTuple):
    """An image that an earlier build has scaled: its row of that build's index."""

    shard: str
    row: int
    source_sha256: str
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
    #: The folder of the earlier build, and the SHA-256 that its shards must have.
    earlier: Path | None = None
    earlier_sha256: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> Path:
        """The shard."""
        return self.folder / f"{self.name}.h5"

    def table(self, what: str) -> Path:
        """The shard's part of a table: `index` or `rejected`."""
        return self.folder / f"{self.name}.{what}.parquet"

    @property
    def sha256(self) -> str:
        """The SHA-256 of the finished shard, taken when it was written."""
        return str(pq.read_schema(self.table("index")).metadata[_SHA256].decode())

    @property
    def is_done(self) -> bool:
        """Whether `write` finished: it writes the shard first and `rejected` last."""
        return self.table("rejected").exists() and self.path.exists()


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
            images = _create(shard, len(task.images), task.size)
            block = np.empty((_block(task.size), task.size, task.size), np.uint8)
            for image in task.images:
                try:
                    content = zips.read(archive, image.member)
                    sha256 = hashlib.sha256(content).hexdigest()
                    pixels, *shape = made.find(image, sha256) or decode.decode(content, task.size, task.method)
                except (ArchiveError, UnreadableImageError) as error:
                    reason = error.found if isinstance(error, ArchiveError) else str(error)
                    rejected.append((image.image_id, image.member.name, reason))
                    continue
                block[len(index) % len(block)] = pixels
                index.append((image.image_id, task.path.name, len(index), sha256, *shape))
                if len(index) % len(block) == 0:
                    images[len(index) - len(block) : len(index)] = block
            if rest := len(index) % len(block):
                images[len(index) - rest : len(index)] = block[:rest]
        if rejected:
            _shorten(temporary, len(index))
        metadata = {_SHA256: sha256_file(temporary)}
    _write_part(task, "index", index, INDEX.with_metadata(metadata))
    _write_part(task, "rejected", rejected, REJECTED)
    return Written(len(task.images), len(task.images) - made.taken, compiled.load().reason)


class _Made:
    """The images of an earlier build; a shard of it that is not what it was is not believed."""

    def __init__(self, task: Task) -> None:
        self._folder = task.earlier
        self._sha256 = dict(task.earlier_sha256)
        self._shards: dict[str, Path | None] = {}
        self.taken = 0

    def find(self, image: Image, sha256: str) -> Decoded | None:
        """What was made of an image if its file has this SHA-256, or None."""
        if image.made is None or self._folder is None or image.made.source_sha256 != sha256:
            return None
        name = image.made.shard
        if name not in self._shards:
            path = self._folder / name
            whole = path.exists() and sha256_file(path) == self._sha256[name]
            self._shards[name] = path if whole else None
        if (shard := self._shards[name]) is None:
            return None
        self.taken += 1
        # Mapped for this image alone: what was read from a mapping counts as the worker's memory while it lasts.
        return Decoded(mapped(shard)[image.made.row], *image.made[3:])


def _block(size: int) -> int:
    """Images of a side of `size` pixels that are written together."""
    return max(1, _BLOCK_BYTES // size**2)


def _create(shard: h5py.File, count: int, size: int) -> h5py.Dataset:
    return shard.create_dataset("images", (count, size, size), np.uint8, track_times=False)


def _shorten(path: Path, count: int) -> None:
    """Leaves the first `count` images of a shard; a contiguous dataset cannot shrink, so they get a new file."""
    with (
        atomic(path) as temporary,
        h5py.File(path, "r") as long,
        h5py.File(temporary, "w", libver="earliest") as short,
    ):
        images = _create(short, count, long["images"].shape[1])
        step = _block(images.shape[1])
        for start in range(0, count, step):
            block = slice(start, min(start + step, count))
            images[block] = long["images"][block]


def _write_part(task: Task, what: str, rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    with atomic(task.table(what)) as temporary:
        pq.write_table(pa.table([list(column) for column in columns], schema=schema), temporary)
