"""The images of each patient as a salted leaf, whose digest says nothing to people who do not have the salt.

A patient's id and the digests of the images lie in the leaf alone. Without the salt, 32 random bytes, nobody can
try out an id or an image on the digest of a leaf; and the leaves are ordered by their digests, so that a place in
the list says nothing either. To forget a salt is to cut the patient out of every parcel that was handed out.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.lineage.parcel.verify import canonical, leaf_hash
from glassbox.lineage.record import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from glassbox.lineage.parcel.merkle import Tree
    from glassbox.lineage.record import Record

#: Bytes of a salt.
_LENGTH = 32
#: The leaf of a patient: `patient_id`, and `images` with the other columns of `Record.images`.
Leaf = dict[str, Any]


class Salted(NamedTuple):
    """A patient's leaf and its salt, which are kept secret."""

    leaf: Leaf
    salt: bytes

    @property
    def digest(self) -> bytes:
        """The hash of both, 32 bytes, which is not secret."""
        return leaf_hash(self.salt, canonical(self.leaf))


def leaves(images: pd.DataFrame) -> list[Leaf]:
    """One leaf a patient, with the images in the order of their ids and folds."""
    of_patient: dict[str, list[dict[str, Any]]] = {}
    for row in images.sort_values(["image_id", "fold"])[list(COLUMNS)].to_dict("records"):
        of_patient.setdefault(str(row.pop("patient_id")), []).append(row)
    return [{"patient_id": patient, "images": rows} for patient, rows in of_patient.items()]


def salted(unsalted: Iterable[Leaf]) -> list[Salted]:
    """The leaves, each with a new salt, in the order of their digests."""
    return sorted((Salted(leaf, secrets.token_bytes(_LENGTH)) for leaf in unsalted), key=lambda each: each.digest)


def document(record: Record, digests: Sequence[bytes], root: bytes) -> dict[str, Any]:
    """The list of the leaves' digests, with what may be said of all patients together."""
    return {
        "about": "One digest a patient, SHA-256(0x00 || salt || leaf), under a Merkle tree as in RFC 6962. The "
        "leaf is JSON (keys sorted, no spaces) with the patient's id and images; the salt, 32 bytes, is not here.",
        "experiment": record.experiment,
        "folds": [fold.model_dump(mode="json", exclude={"classes"}) for fold in record.folds],
        "root": root.hex(),
        "leaves": [digest.hex() for digest in digests],
    }


def proof(tree: Tree, index: int, kept: Salted) -> bytes:
    """What discloses one patient: leaf, salt and the path to the root, as `verify.checked_proof` takes it."""
    return canonical(
        {
            "index": index,
            "leaf": kept.leaf,
            "leaves": tree.count,
            "path": [base64.b64encode(node).decode() for node in tree.path(index)],
            "root": tree.root.hex(),
            "salt": base64.b64encode(kept.salt).decode(),
        }
    )
