"""What an earlier build of a dataset has already scaled, so that an increment decodes only what is new."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.parquet as pq

from glassbox.files import sha256_file
from glassbox.shards.shard import INDEX, Image, Made

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.sources.zip import Member


class Earlier(NamedTuple):
    """The images of an earlier build.

    Attributes:
        images: By `image_id`.
        sha256: Of each shard, as it was written.
    """

    images: dict[str, Made]
    sha256: dict[str, str]

    def image(self, image_id: str, member: Member) -> Image:
        """An image to put into a shard, with its place in the earlier build if that has one of its name."""
        return Image(image_id, member, self.images.get(image_id))

    def shards_of(self, images: tuple[Image, ...]) -> tuple[tuple[str, str], ...]:
        """The names and hashes of the shards that hold these images."""
        names = {image.made.shard for image in images if image.made}
        return tuple((name, self.sha256[name]) for name in sorted(names))


NOTHING = Earlier({}, {})


def find(folder: Path, origin: dict[str, Any]) -> Earlier:
    """The images of `folder` that a build from `origin` may take over.

    None of them where pixels were made in another way or the index is not what was written, and none where nothing
    at all changed: who builds the same again wants to see it built.
    """
    index = folder / "index.parquet"
    try:
        before = json.loads((folder / "origin.json").read_text())
        shards, sha256 = before.pop("shards"), before.pop("index_sha256")
        is_whole = sha256_file(index) == sha256
    except (OSError, ValueError, KeyError):  # no earlier build, or one of another version of this program
        return NOTHING
    if not is_whole or before == origin or before["pixels"] != origin["pixels"]:
        return NOTHING
    table = pq.read_table(index, schema=INDEX)
    rows = zip(*(table[name].to_pylist() for name in INDEX.names), strict=True)
    return Earlier({image: Made(*made) for image, *made in rows}, shards)
