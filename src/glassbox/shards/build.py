"""Shards of a dataset, built in parallel with Dask: one task a shard, one writer a file."""

from __future__ import annotations

import math
import os
import shutil
import sys
from typing import TYPE_CHECKING

import distributed
import pyarrow as pa
from tqdm import tqdm

from glassbox.artifacts import archive, catalog, code, members, shards
from glassbox.artifacts.damage import ArtifactError, sha256_of
from glassbox.errors import GlassboxError
from glassbox.files import atomic, fingerprint
from glassbox.paths import WORK
from glassbox.shards import earlier, parts
from glassbox.shards.cluster import ClusterError, connected
from glassbox.shards.shard import Task, write

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.artifacts.members import Member
    from glassbox.params.datasets import Dataset


class ImageError(GlassboxError):
    """Too many images of an archive cannot be read."""


def build(settings: Dataset, dataset: str) -> None:
    """Writes the shards of a dataset, their index, and what was rejected.

    Images fall to shards in archive order, which is cut where their hashes say so (`parts.cut`): the bytes depend
    neither on the number of workers nor on their order. Finished shards of a killed build are kept in `work/` and
    not made again; images of the build before, where they did not change, are copied from its shards.

    Raises:
        ImageError: More images are unreadable than `rejected_share` allows. What could be read is kept.
        ClusterError: The cluster cannot be reached, or its workers die.
        ArtifactError: The catalog or the index of the archive's members is missing or damaged.
    """
    target = shards.folder(dataset)
    there, archive_sha256 = members.read(settings.source)
    made_of = {
        "size": settings.size,
        "method": settings.method,
        "code": code.read("pixels").sha256,
        "shard_images": settings.shard_images,
        "archive_sha256": archive_sha256,
        "catalog_sha256": sha256_of(catalog.path(settings.source), f"catalog@{settings.source}"),
    }
    unfinished = WORK / "resize" / dataset / fingerprint(made_of)
    unfinished.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(settings, there, unfinished.resolve(), target.resolve(), earlier.find(dataset, made_of))
    _run([task for task in tasks if not task.is_done], dataset)
    index = pa.concat_tables([task.read("index") for task in tasks])
    rejected = pa.concat_tables([task.read("rejected") for task in tasks])
    _allow(rejected, len(index) + len(rejected), settings, dataset)
    with atomic(target) as folder:
        folder.mkdir()
        shards.write_tables(dataset, folder, index, rejected, made_of)
        for task in tasks:
            _place(task.path, folder)
    # Last: until here everything that was made is still in it. What older parameters left goes with it.
    shutil.rmtree(unfinished.parent)


def _tasks(
    settings: Dataset, there: list[Member], folder: Path, target: Path, made: earlier.Earlier
) -> list[Task]:
    at = {member.name: member for member in there}
    rows, _ = catalog.read(settings.source, ["image_id", "member"])
    try:
        images = [made.image(row.image_id, at[row.member]) for row in rows.itertuples(index=False)]
    except KeyError as lost:
        what = f"lists {lost}, which is not in its archive"
        raise ArtifactError(catalog.path(settings.source), what, f"catalog@{settings.source}") from None
    zipped = archive.path(settings.source).resolve()
    cut = parts.cut(rows["image_id"].tolist(), settings.shard_images)
    return [
        Task(
            zipped,
            part,
            settings.size,
            settings.method,
            folder,
            f"part-{number:05d}",
            target,
            made.shards_of(part),
        )
        for number, part in enumerate(tuple(images[place]) for place in cut)
    ]


def _run(tasks: list[Task], dataset: str) -> None:
    if not tasks:
        return
    images = sum(len(task.images) for task in tasks)
    with connected() as client, tqdm(total=images, unit="image", desc=dataset, disable=None) as bar:
        futures = client.map(write, tasks, pure=False, retries=2)
        results = distributed.as_completed(futures, with_results=True)
        # The futures of finished tasks are let go of, and their results with them.
        del futures
        decoded, slow = 0, ""
        try:
            for future, written in results:
                if future.cancelled():
                    raise ClusterError(
                        f"datasets.{dataset}: the scheduler at {client.scheduler.address} was lost",
                        "a scheduler that stays",
                        "look into its log; run `dvc repro` again, which goes on where this one stopped",
                    )
                bar.update(written.images)
                decoded += written.decoded
                slow = slow or written.slow
        except distributed.KilledWorker as error:
            raise ClusterError(
                f"datasets.{dataset}: {error.last_worker.address} and workers before it died over one shard",
                "workers with about 400 MB of memory each that stay",
                "look into their logs; run `dvc repro` again, which goes on where this one stopped",
            ) from None
    if decoded < images:
        print(
            f"{dataset}: {images - decoded:,} of {images:,} images did not change and were copied", file=sys.stderr
        )
    if slow:
        print(
            f"{dataset}: the same pixels, but slowly: there are no compiled loops here ({slow})", file=sys.stderr
        )


def _place(shard: Path, folder: Path) -> None:
    """Puts a finished shard into a folder without losing it from `work/`."""
    try:
        os.link(shard, folder / shard.name)
    except OSError:  # data/ lies on another disk than work/, or on one without hard links
        shutil.copyfile(shard, folder / shard.name)


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
