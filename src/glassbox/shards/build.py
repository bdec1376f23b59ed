"""Shards of a dataset, built in parallel with Dask: one task a shard, one writer a file."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import distributed
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from glassbox import layout
from glassbox.cohorts import catalog
from glassbox.errors import ArchiveError, ImageError
from glassbox.files import atomic, fingerprint, sha256_file, write_json
from glassbox.shards import decode
from glassbox.shards.cluster import connected
from glassbox.sources import zip as zips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.params import Dataset, Params
    from glassbox.sources.zip import Member

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


@dataclass(frozen=True)
class Task:
    """One shard to write: which images of which archive, and where."""

    archive: Path
    images: tuple[tuple[str, Member], ...]
    size: int
    folder: Path
    name: str


def build(params: Params, dataset: str) -> None:
    """Writes `layout.shards(dataset)`: shards, `index.parquet`, `rejected.parquet`, `origin.json`.

    Images fall to shards in archive order, so the bytes depend neither on the number of workers nor on their
    order. Finished shards of a killed build are kept in `work/` and not made again.

    Raises:
        ImageError: More images are unreadable than `rejected_share` allows. What could be read is kept.
    """
    settings = params.datasets[dataset]
    archive = layout.archive(settings.source)
    unfinished = layout.WORK / "resize" / _fingerprint(settings)
    unfinished.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(settings, archive.resolve(), unfinished.resolve())
    _run([task for task in tasks if not _is_done(task)], dataset)
    index = pa.concat_tables([pq.read_table(_part(task, "index"), schema=INDEX) for task in tasks])
    rejected = pa.concat_tables([pq.read_table(_part(task, "rejected"), schema=REJECTED) for task in tasks])
    _allow(rejected, len(index) + len(rejected), settings, dataset)
    with atomic(layout.shards(dataset)) as folder:
        folder.mkdir()
        pq.write_table(index, folder / "index.parquet")
        pq.write_table(rejected, folder / "rejected.parquet")
        write_json(folder / "origin.json", _origin(settings))
        for task in tasks:
            # Not `rename`: data/ may lie on another disk than work/.
            shutil.move(unfinished / f"{task.name}.h5", folder / f"{task.name}.h5")
    shutil.rmtree(unfinished)


def write_shard(task: Task) -> int:
    """Decodes the images of a task and writes its shard and its parts of the two tables.

    Returns:
        The number of images that were handled.
    """
    cv2.setNumThreads(0)  # the cores belong to the workers
    pixels = np.empty((len(task.images), task.size, task.size), np.uint8)
    index: list[tuple[str, str, int, str, int, int, int]] = []
    rejected: list[tuple[str, str, str]] = []
    with zips.opened(task.archive) as descriptor:
        for image, member in task.images:
            try:
                content = zips.read(descriptor, member)
                decoded = decode.decode(content, task.size)
            except (ArchiveError, decode.UnreadableImageError) as error:
                reason = error.found if isinstance(error, ArchiveError) else str(error)
                rejected.append((image, member.name, reason))
                continue
            row = len(index)
            pixels[row] = decoded.pixels
            digest = hashlib.sha256(content).hexdigest()
            index.append((image, f"{task.name}.h5", row, digest, *decoded[1:]))
    with (
        atomic(task.folder / f"{task.name}.h5") as temporary,
        h5py.File(temporary, "w", libver="earliest") as shard,
    ):
        shard.create_dataset("images", data=pixels[: len(index)], track_times=False)
    _write_part(task, "index", index, INDEX)
    _write_part(task, "rejected", rejected, REJECTED)
    return len(task.images)


def _origin(settings: Dataset) -> dict[str, str]:
    """What the shards were made from; it lies beside them, so that a model can name its archive."""
    source = json.loads((layout.METRICS / "sources" / f"{settings.source}.json").read_text())
    return {
        "source": settings.source,
        "archive_sha256": source["sha256"],
        "catalog_sha256": sha256_file(layout.catalog(settings.source)),
    }


def _fingerprint(settings: Dataset) -> str:
    """What unfinished shards were made of: the archive, the settings, and the code that makes pixels."""
    return fingerprint(
        {
            **_origin(settings),
            "size": settings.size,
            "shard_images": settings.shard_images,
            "opencv": cv2.__version__,
            "code": [sha256_file(Path(str(module.__file__))) for module in (decode, sys.modules[__name__])],
        }
    )


def _tasks(settings: Dataset, archive: Path, folder: Path) -> list[Task]:
    at = {member.name: member for member in zips.members(archive)}
    rows = catalog.read(settings.source, ["image_id", "member"])
    images = [(row.image_id, at[row.member]) for row in rows.itertuples(index=False)]
    step = settings.shard_images
    return [
        Task(archive, tuple(images[start : start + step]), settings.size, folder, f"part-{number:05d}")
        for number, start in enumerate(range(0, len(images), step))
    ]


def _run(tasks: list[Task], dataset: str) -> None:
    if not tasks:
        return
    with (
        connected() as client,
        tqdm(total=sum(len(task.images) for task in tasks), unit="image", desc=dataset, disable=None) as bar,
    ):
        futures = client.map(write_shard, tasks, pure=False, retries=2)
        for _, handled in distributed.as_completed(futures, with_results=True):
            bar.update(handled)


def _part(task: Task, table: str) -> Path:
    return task.folder / f"{task.name}.{table}.parquet"


def _is_done(task: Task) -> bool:
    # The tables are written after the shard, `rejected` last.
    return _part(task, "rejected").exists() and (task.folder / f"{task.name}.h5").exists()


def _write_part(task: Task, table: str, rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    with atomic(_part(task, table)) as temporary:
        pq.write_table(pa.table([list(column) for column in columns], schema=schema), temporary)


def _allow(rejected: pa.Table, images: int, settings: Dataset, dataset: str) -> None:
    if len(rejected) < images and len(rejected) / images <= settings.rejected_share:
        return
    first = "; ".join(f"{row['member']}: {row['reason']}" for row in rejected.slice(0, 3).to_pylist())
    raise ImageError(
        f"datasets.{dataset}: {len(rejected):,} of {images:,} images are unreadable: {first}"
        f"{' ...' if len(rejected) > 3 else ''}",
        f"at most rejected_share: {settings.rejected_share:g} of them, and at least one that can be read",
        f"fetch the archive again, or set datasets.{dataset}.rejected_share to at least "
        f"{math.ceil(1e4 * len(rejected) / images) / 1e4:g}",
    )
