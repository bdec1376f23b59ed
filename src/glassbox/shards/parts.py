"""Where shards end: at images whose hashes say so, so that an image more or less changes few shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.keyed import Purpose, number

if TYPE_CHECKING:
    from collections.abc import Sequence


def cut(images: Sequence[str], about: int) -> list[slice]:
    """Cuts images in their order into shards of about so many.

    A shard holds from half as many to half as many again, all lengths about as likely, and ends with the one image
    of those it may end with whose hash is the smallest. So an image that comes or goes changes the shard it is in,
    and no other unless a shard ended with it, or would have; then the ends after it soon fall to the same images
    as before, since whichever image a shard begins with, the smallest hash around is the same. With 256 images in
    a shard about 1 removal in 70 changes more than one. (Cut by counting, all shards after it would change.) What
    is left in the end is one shard, of any length up to the largest.

    Args:
        images: Ids, no two of them equal.
        about: Images in a shard, at least 1, for which each is one.

    Returns:
        The shards' places among the images; none of no images.
    """
    numbers = [number(image, Purpose.SHARD, 0) for image in images]
    least, most = (about + 1) // 2, about + about // 2
    slices = []
    start = 0
    while start < len(images):
        end = len(images)
        if end - start > most:
            end = min(range(start + least, start + most + 1), key=lambda end: numbers[end - 1])
        slices.append(slice(start, end))
        start = end
    return slices
