"""The key that signs a parcel: a PEM file of the user's own, read where it lies and sent nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from glassbox.errors import GlassboxError
from glassbox.lineage.parcel.verify import ecdsa_hash

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    SigningKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

#: Environment variable with the password of an encrypted key.
PASSWORD = "GLASSBOX_KEY_PASSWORD"  # noqa: S105
_KINDS = "an Ed25519 key, or an ECDSA key on P-256 or P-384"
_MAKE = "make one with `openssl genpkey -algorithm ed25519 -out key.pem`"


class KeyFileError(GlassboxError):
    """A file holds no private key that can sign a parcel."""


def load(path: Path) -> SigningKey:
    """The private key in a PEM file, whose password, where it has one, is in the environment.

    Raises:
        KeyFileError: There is no such file, it holds no private key or one of another kind, or its password is
            missing or wrong.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}", f"{_KINDS}, in PEM", _MAKE) from None
    key = _key(content, path)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if ecdsa_hash(key.curve):
            return key
        raise KeyFileError(f"{path} holds an ECDSA key on {key.curve.name}", _KINDS, _MAKE)
    name = type(key).__name__.removeprefix("_").removesuffix("PrivateKey")
    raise KeyFileError(f"{path} holds an {name} key", _KINDS, _MAKE)


def _key(content: bytes, path: Path) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(content, password=None)
    except TypeError:  # it is encrypted
        pass
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} holds no private key in PEM that can be read", _KINDS, _MAKE) from None
    password = os.environ.get(PASSWORD)
    if not password:
        raise KeyFileError(f"{path} holds an encrypted key", f"its password in {PASSWORD}", f"set {PASSWORD}")
    try:
        return load_pem_private_key(content, password.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"{path} does not open with the password in {PASSWORD}", "the password of the key", f"set {PASSWORD}"
        ) from None


def sign(key: SigningKey, message: bytes) -> bytes:
    """The signature of a message: the same key and message always give the same bytes."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    algorithm = ecdsa_hash(key.curve)
    assert algorithm is not None, "`load` takes no other curve"
    return key.sign(message, ec.ECDSA(algorithm, deterministic_signing=True))


def public_pem(key: SigningKey) -> bytes:
    """The public half of a key, in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
