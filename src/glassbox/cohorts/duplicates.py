"""Images that are the same file under different names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.sources.zip import Member


def groups(images: dict[str, Member], content: Callable[[Member], bytes]) -> list[list[str]]:
    """Images by their SHA-256, of those that share it with another; in the order given.

    Only images whose size and CRC-32 agree are read, one at a time. Few films that differ do, but some: a PNG ends
    its chunks in CRCs of their own, which leaves PNGs of one size 65,536 values for the CRC of the whole.

    Args:
        images: Members by `image_id`.
        content: Gives the bytes of a member.
    """
    by_size_and_crc: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for image, member in images.items():
        by_size_and_crc[member.size, member.crc].append(image)
    same: defaultdict[str, list[str]] = defaultdict(list)
    for candidates in by_size_and_crc.values():
        for image in candidates if len(candidates) > 1 else ():
            same[hashlib.sha256(content(images[image])).hexdigest()].append(image)
    return [found for found in same.values() if len(found) > 1]
