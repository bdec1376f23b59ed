"""Images that are the same file under different names."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glassbox.artifacts.members import Member


def groups(images: dict[str, Member]) -> list[list[str]]:
    """Images, by `image_id`, whose file another one shares, by the SHA-256 of the members; in the order given."""
    same: defaultdict[str, list[str]] = defaultdict(list)
    for image, member in images.items():
        same[member.sha256].append(image)
    return [found for found in same.values() if len(found) > 1]
