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
from glassbox.lineage.digests import Rows
from glassbox.lineage.link import Checks, Link
from glassbox.paths import DATA
from glassbox.processor import cores
from glassbox.shards import decode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from glassbox.artifacts.experiment import Resolved

_FOLDER = (DATA / "shards").as_posix()
_INDEX = "index.parquet"


def dataset(path: str) -> str | None:
    """The dataset whose shards lie in a folder of a project; None for another folder."""
    folder, _, name = path.rpartition("/")
    return name if folder == _FOLDER else None


def rows(files: Mapping[str, Path], name: str, scratch: Path) -> dict[Path, Rows]:
    """Where the stored images of each shard lie; nothing of what cannot be read.

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
        index, made_of = table.read(place, f"resize@{name}", shards.INDEX)
        held, size = Counter(index["shard"].to_pylist()), int(made_of["size"])
        # A map's `offset` is known before anything of it is looked at.
        return {
            files[shard]: Rows(shards.mapped(files[shard], count, size, name).offset, size * size, count)  # type: ignore[attr-defined]
            for shard, count in held.items()
        }
    except (KeyError, ArtifactError):
        return {}


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
    drawn = images.drop_duplicates("image_id")
    drawn = drawn[ranks(drawn["image_id"].tolist(), Purpose.SAMPLE, 0) < most]
    with checks.refusals():
        there = {member.name: member for member in members.read(whole.split.source)[0]}
        stored = shards.Images(whole.split.dataset)
        positions = stored.positions(drawn["image_id"].tolist(), drawn["pixels_sha256"].tolist())
        with zips.opened(archive.path(whole.split.source)) as descriptor, ThreadPoolExecutor(cores()) as pool:

            def same(member: str, position: int) -> bool:
                content = zips.read(descriptor, there[member])
                made = decode.decode(content, whole.dataset.size, whole.dataset.method).pixels
                return np.array_equal(made, stored.gather(np.array([position]))[0])

            again = pool.map(same, drawn["member"], positions.tolist())
            found = list(tqdm(again, total=len(drawn), unit="image", desc="decoding again", disable=None, delay=1))
        differing = drawn["image_id"][np.logical_not(found)].tolist()
        checks.same("other pixels than their files give", differing[:3], [])
    return checks.links(f"{len(drawn):,} images decoded and scaled again: the same bytes")
