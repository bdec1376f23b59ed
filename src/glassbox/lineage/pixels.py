"""Stored images: where each lies in a dataset's files, to be hashed as these are read; and each made again."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from glassbox.archives import zip as zips
from glassbox.artifacts import archive, members, shards, table
from glassbox.artifacts.damage import ArtifactError
from glassbox.keyed import Purpose, ranks
from glassbox.lineage.digests import Part
from glassbox.lineage.link import Checks, Link
from glassbox.paths import DATA
from glassbox.processor import cores
from glassbox.shards import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from glassbox.artifacts.experiment import Resolved

_FOLDER = (DATA / "shards").as_posix()
_INDEX = "index.parquet"


def dataset(path: str) -> str | None:
    """The dataset whose shards lie in a folder of a project; None for another folder."""
    folder, _, name = path.rpartition("/")
    return name if folder == _FOLDER else None


def parts(files: Mapping[str, Path], name: str, scratch: Path) -> dict[Path, Sequence[Part]]:
    """The stored images of each shard, in the order of its rows; nothing of what cannot be read.

    That it cannot is found elsewhere, by the MD5 of the file and by whoever reads the index.

    Args:
        files: Name -> where it lies, of one copy of a dataset's shards.
        name: Key of the dataset.
        scratch: A folder in which the index has its own name, which it has to have and in DVC's cache has not.
    """
    try:
        place = scratch / name / _INDEX
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(files[_INDEX].absolute())
        rows, made_of = table.read(place, f"resize@{name}", shards.INDEX)
        held, size = Counter(rows["shard"].to_pylist()), int(made_of["size"])
        starts = {
            files[shard]: (shards.mapped(files[shard], count, size, name), count) for shard, count in held.items()
        }
    except (KeyError, ArtifactError):
        return {}
    area = size * size
    # `offset` is of the memory map, which maps nothing until it is looked at.
    return {
        path: [Part(images.offset + row * area, area) for row in range(count)]  # type: ignore[attr-defined]
        for path, (images, count) in starts.items()
    }


def recomputed(whole: Resolved, images: pd.DataFrame, most: int) -> list[Link]:
    """Whether stored images are what their files in the archive give, byte for byte.

    It reads the artifacts of the current folder, a `view`.

    Args:
        whole: The experiment that saw them.
        images: `image_id, member, pixels_sha256`, and an image in several rows where it is in several folds.
        most: How many to make again. Of more than that, as many are drawn by a hash of each id.
    """
    checks = Checks(
        f"pixels of dataset {whole.split.dataset}", f"run `dvc repro --force resize@{whole.split.dataset}`"
    )
    rows = images.drop_duplicates("image_id")
    rows = rows[ranks(rows["image_id"].tolist(), Purpose.SAMPLE, 0) < most]
    with checks.refusals():
        there = {member.name: member for member in members.read(whole.split.source)[0]}
        stored = shards.Images(whole.split.dataset)
        positions = stored.positions(rows["image_id"].tolist(), rows["pixels_sha256"].tolist())
        with zips.opened(archive.path(whole.split.source)) as descriptor, ThreadPoolExecutor(cores()) as pool:

            def same(member: str, position: int) -> bool:
                content = zips.read(descriptor, there[member])
                made = decode.decode(content, whole.dataset.size, whole.dataset.method).pixels
                return np.array_equal(made, stored.gather(np.array([position]))[0])

            again = pool.map(same, rows["member"], positions.tolist())
            found = list(tqdm(again, total=len(rows), unit="image", desc="decoding again", disable=None, delay=1))
        differing = rows["image_id"][np.logical_not(found)].tolist()
        checks.same("other pixels than their files give", differing[:3], [])
    return checks.links(f"{len(rows):,} images decoded and scaled again: the same bytes")
