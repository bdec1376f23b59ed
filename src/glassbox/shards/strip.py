"""Taking images out of the shards in the workspace: nothing left names them, and the rest is found again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from glassbox.artifacts import shards, table
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Collection

#: Of what an index says that shards are made of: what it says of the images, which are no longer all there.
_OF_IMAGES = ("images_sha256", "catalog_sha256")


def strip(dataset: str, images: Collection[str]) -> list[str]:
    """Removes the shards of a dataset that hold one of some images, and all that its tables say of such shards.

    The next build decodes the images of these shards anew and copies all others. Until then the dataset is not
    whole: a split or a training that needs what is gone refuses it. Safe to repeat, also after a kill in between.

    Args:
        dataset: Key of the dataset; nothing is done where it has no index.
        images: Their ids.

    Returns:
        Names of the shards that held some.

    Raises:
        ArtifactError: The index or the table of what was rejected is damaged.
    """
    # Finished shards of a build that was killed; its next run would take them as they are.
    shutil.rmtree(WORK / "resize" / dataset, ignore_errors=True)
    folder = shards.folder(dataset)
    if not (folder / "index.parquet").exists():
        return []
    index, made_of = shards.read_index(dataset)
    rejected, _ = table.read(folder / "rejected.parquet", f"resize@{dataset}", shards.REJECTED)
    asked = pa.array(sorted(images), pa.string())
    held = pc.unique(index["shard"].filter(pc.is_in(index["image_id"], asked)))
    # Files first: as long as the index names them, a next run finds them.
    for name in held.to_pylist():
        (folder / name).unlink(missing_ok=True)
    left = index.filter(pc.invert(pc.is_in(index["shard"], held)))
    read = rejected.filter(pc.invert(pc.is_in(rejected["image_id"], asked)))
    # Not made of these images: the next build sees that it is another one, and takes what it can.
    shards.write_tables(dataset, folder, left, read, {**made_of, **dict.fromkeys(_OF_IMAGES, "")})
    return sorted(held.to_pylist())
