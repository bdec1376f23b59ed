"""Shards of a dataset, built in parallel with Dask, a shard on a worker."""

from __future__ import annotations

import math
import os
import shutil
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
from tqdm import tqdm

from glassbox.artifacts import catalog, code, members, shards
from glassbox.artifacts.damage import sha256_of
from glassbox.cluster import connected, results
from glassbox.errors import GlassboxError
from glassbox.files import atomic, fingerprint
from glassbox.paths import WORK
from glassbox.shards import plans
from glassbox.shards.shard import write

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params.datasets import Dataset
    from glassbox.shards.shard import ShardPlan

#: What a shard of full-size films takes of a worker: bytes of memory.
TAKES = {"MEMORY": 400_000_000}


class ImageError(GlassboxError):
    """Too many images of an archive cannot be read."""


def build(settings: Dataset, dataset: str) -> None:
    """Writes the shards of a dataset, their index, and what was rejected.

    Images fall to shards in archive order, which is cut where their hashes say so (`plans.cut`): the bytes depend
    neither on the number of workers nor on their order. Finished shards of a killed build are kept in `work/` and
    not made again. An image whose file the build before had too is copied from its shards.

    Raises:
        ImageError: More images are unreadable than `rejected_share` allows. What could be read is kept.
        ClusterError: The cluster cannot be reached, or its workers die.
        ArtifactError: The catalog or the index of the archive's members is missing or damaged.
    """
    target = shards.folder(dataset)
    images = plans.images(settings.source)
    made_of = {
        "size": settings.size,
        "method": settings.method,
        "code": code.read("pixels").sha256,
        "shard_images": settings.shard_images,
        # Of the catalog's images alone: whoever else is in the archive, these shards are the same.
        "images_sha256": members.contents((image.member.name, image.member.sha256) for image in images),
        "catalog_sha256": sha256_of(catalog.path(settings.source), f"catalog@{settings.source}"),
    }
    unfinished = WORK / "resize" / dataset / fingerprint(made_of)
    unfinished.mkdir(parents=True, exist_ok=True)
    planned = plans.plan(settings, images, unfinished.resolve(), plans.find(dataset, made_of, settings.source))
    _run([plan for plan in planned if not plan.is_done], dataset)
    tables = [plan.read() for plan in planned]
    index = pa.concat_tables([rows for rows, _ in tables])
    unreadable = [row for _, facts in tables for row in facts["rejected"]]
    _allow(unreadable, len(index) + len(unreadable), settings, dataset)
    rejected = pa.Table.from_pylist(unreadable, shards.REJECTED)
    with atomic(target) as folder:
        folder.mkdir()
        shards.write_tables(dataset, folder, index, rejected, made_of)
        for plan in planned:
            _place(plan.path, folder)
    # Last: until here everything that was made is still in it. What older parameters left goes with it.
    shutil.rmtree(unfinished.parent)


def _run(planned: list[ShardPlan], dataset: str) -> None:
    if not planned:
        return
    images = sum(len(plan.images) for plan in planned)
    with connected() as client, tqdm(total=images, unit="image", desc=dataset, disable=None) as bar:
        decoded, slow = 0, ""
        for written in results(
            client, write, planned, place=f"datasets.{dataset}", one="shard", takes=TAKES, retries=2
        ):
            bar.update(written.images)
            decoded += written.decoded
            slow = slow or written.slow
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


def _allow(rejected: list[dict[str, str]], images: int, settings: Dataset, dataset: str) -> None:
    if len(rejected) < images and len(rejected) / images <= settings.rejected_share:
        return
    first = "; ".join(f"{row['member']}: {row['reason']}" for row in rejected[:3])
    raise ImageError(
        f"datasets.{dataset}: {len(rejected):,} of {images:,} images are unreadable: {first}"
        f"{' ...' if len(rejected) > 3 else ''}",
        f"at most rejected_share: {settings.rejected_share:g} of them, and at least one that can be read",
        f"fetch the archive again, or set datasets.{dataset}.rejected_share to at least "
        f"{math.ceil(1e4 * len(rejected) / images) / 1e4:g}",
    )
