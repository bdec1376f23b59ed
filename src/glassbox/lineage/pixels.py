"""Where each stored image lies in the files of a dataset, so that it is hashed while its file is read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from glassbox.artifacts import shards, table
from glassbox.artifacts.damage import ArtifactError
from glassbox.lineage.digests import Part
from glassbox.paths import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FOLDER = (DATA / "shards").as_posix()
_INDEX = "index.parquet"


def dataset(path: str) -> str | None:
    """The dataset whose shards lie in a folder of a project; None for another folder."""
    folder, _, name = path.rpartition("/")
    return name if folder == _FOLDER else None


def parts(files: Mapping[str, Path], name: str) -> dict[Path, Sequence[Part]]:
    """The stored images of each shard, in the order of its rows; nothing of what cannot be read.

    That it cannot is found elsewhere, by the MD5 of the file and by whoever reads the index.

    Args:
        files: Name -> where it lies, of one copy of a dataset's shards.
        name: Key of the dataset.
    """
    try:
        rows, made_of = table.read(files[_INDEX], f"resize@{name}", shards.INDEX)
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
