"""What an earlier build of a dataset has already scaled, so that an increment decodes only what is new."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.artifacts import shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.shards.shard import Image, Made

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glassbox.artifacts.members import Member


class Earlier(NamedTuple):
    """The images of an earlier build.

    Attributes:
        images: By `image_id`.
        counts: How many images each shard has.
    """

    images: dict[str, Made]
    counts: dict[str, int]

    def image(self, image_id: str, member: Member) -> Image:
        """An image to put into a shard, with its place in the earlier build if that has one of its name."""
        return Image(image_id, member, self.images.get(image_id))

    def shards_of(self, images: tuple[Image, ...]) -> tuple[tuple[str, int], ...]:
        """The names of the shards that hold these images, and how many they hold in all."""
        names = {image.made.shard for image in images if image.made}
        return tuple((name, self.counts[name]) for name in sorted(names))


NOTHING = Earlier({}, {})


def find(dataset: str, made_of: Mapping[str, Any]) -> Earlier:
    """The images of a dataset as it lies there that a build may take over.

    None of them where pixels were made in another way, and none where nothing at all changed: who builds the same
    again wants to see it built.

    Args:
        dataset: Key of the dataset.
        made_of: What is to be built, as `build` describes it.
    """
    try:
        rows, before = shards.read_index(dataset)
    except ArtifactError:  # no earlier build, a damaged one, or one of another version of this program
        return NOTHING
    if before == made_of or any(before.get(name) != made_of[name] for name in ("size", "method", "code")):
        return NOTHING
    columns = (rows[name].to_pylist() for name in shards.INDEX.names)
    images = {image: Made(*made) for image, *made in zip(*columns, strict=True)}
    return Earlier(images, dict(Counter(made.shard for made in images.values())))
