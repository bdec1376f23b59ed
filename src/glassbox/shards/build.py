"""Shards of a dataset, built in parallel with Dask: one task a shard, one writer a file."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import distributed
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from glassbox import layout
from glassbox.cohorts import catalog
from glassbox.errors import ImageError
from glassbox.files import atomic, fingerprint, sha256_file, write_json
from glassbox.shards import earlier, parts
from glassbox.shards.cluster import ClusterError, connected
from glassbox.shards.shard import INDEX, REJECTED, Task, write
from glassbox.sources import index as members
from glassbox.sources import record

if TYPE_CHECKING:
    from glassbox.params import Dataset, Params

#: The modules that make pixels: with another one of them no shard of an earlier build is taken over.
_CODE = ("area.py", "article.py", "decode.py", "kernels.py", "png.py", "shard.py")


def build(params: Params, dataset: str) -> None:
    """Writes `layout.shards(dataset)`: shards, `index.parquet`, `rejected.parquet`, `origin.json`.

    Images fall to shards in archive order, which is cut where their hashes say so (`parts.cut`): the bytes depend
    neither on the number of workers nor on their order. Finished shards of a killed build are kept in `work/` and
    not made again; images of the build before, where they did not change, are copied from its shards.

    Raises:
        ImageError: More images are unreadable than `rejected_share` allows. What could be read is kept.
        ClusterError: The cluster cannot be reached, or its workers die.
    """
    settings = params.datasets[dataset]
    target = layout.shards(dataset)
    origin = _origin(settings)
    unfinished = layout.WORK / "resize" / dataset / fingerprint(origin)
    unfinished.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(settings, unfinished.resolve(), target.resolve(), earlier.find(target, origin))
    _run([task for task in tasks if not task.is_done], dataset)
    index = pa.concat_tables([pq.read_table(task.table("index"), schema=INDEX) for task in tasks])
    rejected = pa.concat_tables([pq.read_table(task.table("rejected"), schema=REJECTED) for task in tasks])
    _allow(rejected, len(index) + len(rejected), settings, dataset)
    with atomic(target) as folder:
        folder.mkdir()
        pq.write_table(index, folder / "index.parquet")
        pq.write_table(rejected, folder / "rejected.parquet")
        for task in tasks:
            _place(task.path, folder)
        made = {
            "index_sha256": sha256_file(folder / "index.parquet"),
            "shards": {task.path.name: task.sha256 for task in tasks},
        }
        write_json(folder / "origin.json", {**origin, **made})
    # Last: until here everything that was made is still in it. What older parameters left goes with it.
    shutil.rmtree(unfinished.parent)


def _origin(settings: Dataset) -> dict[str, Any]:
    """What shards are made from; it lies beside them, so that a model can name its archive."""
    source = json.loads(record.place(settings.source).read_text())
    return {
        "source": settings.source,
        "archive_sha256": source["sha256"],
        "catalog_sha256": sha256_file(layout.catalog(settings.source)),
        "shard_images": settings.shard_images,
        "pixels": {
            "size": settings.size,
            "method": settings.method,
            "packages": {name: version(name) for name in ("opencv-python-headless", "scikit-image")},
            "code": fingerprint([sha256_file(Path(__file__).with_name(name)) for name in _CODE]),
        },
    }


def _tasks(settings: Dataset, folder: Path, target: Path, made: earlier.Earlier) -> list[Task]:
    at = {member.name: member for member in members.read(settings.source)}
    rows = catalog.read(settings.source, ["image_id", "member"])
    images = [made.image(row.image_id, at[row.member]) for row in rows.itertuples(index=False)]
    archive = layout.archive(settings.source).resolve()
    shards = [tuple(images[part]) for part in parts.cut(rows["image_id"].tolist(), settings.shard_images)]
    return [
        Task(
            archive,
            shard,
            settings.size,
            settings.method,
            folder,
            f"part-{number:05d}",
            target,
            made.shards_of(shard),
        )
        for number, shard in enumerate(shards)
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
