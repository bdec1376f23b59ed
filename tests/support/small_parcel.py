"""A parcel of a small record, with a key of its own, and what a test asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives import serialization

from glassbox.lineage.parcel import verify

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.lineage.record import Record


def write_key(path, key, password=None):
    """Writes a private key in PEM, encrypted where a password is given; the path."""
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    path.write_bytes(pem)
    return path


class Exported(NamedTuple):
    """A parcel and what it was made from."""

    record: Record
    parcel: Path
    salts: Path
    key: Path
    root: str

    def document(self, name):
        """What a document of JSON holds."""
        return verify.parsed((self.parcel / name).read_bytes())

    def statement(self):
        """What was signed."""
        return verify.parsed(verify.unbase64(self.document(verify.STATEMENT)["payload"]))

    def check(self, *arguments):
        """The exit status of `verify.py` with some arguments."""
        return verify.main(["--parcel", str(self.parcel), *map(str, arguments)])
