"""A Merkle tree as in RFC 6962: one digest for many leaves, and short proofs that a leaf is among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.lineage.parcel.verify import parents

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tree:
    """The tree over the hashes of leaves.

    Args:
        leaves: Of 32 bytes each, at least one.

    Attributes:
        count: How many leaves there are.
        root: Its digest, 32 bytes.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.count = len(leaves)
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(parents(self._levels[-1]))
        self.root = self._levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """The siblings on the way from a leaf to the root, the lowest first: with the leaf, they give the root."""
        siblings = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):  # otherwise it is the last of an odd number
                siblings.append(level[index ^ 1])
            index //= 2
        return siblings
