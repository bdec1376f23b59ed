"""Who was erased: a keyed digest in the place of an id, which says nothing to whoever lacks the key."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.files import atomic
from glassbox.params.read import ParamsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: Outside git and DVC. Ids are few and guessable: with the key anybody can try them all.
KEY = Path("secrets/withdrawn.key")
#: What a line of a list begins with that is a digest, not an id.
PREFIX = "erased:"
_LINE = re.compile(re.escape(PREFIX) + r"[0-9a-f]{64}")
_KEY_BYTES = 32


def is_digest(line: str) -> bool:
    """Whether a line of a list is a digest: `erased:` and 64 hexadecimal digits."""
    return bool(_LINE.fullmatch(line))


def digest(key: bytes, source: str, patient: str) -> str:
    """The line in place of a patient: HMAC-SHA256 over the source's key, NUL and the id, in UTF-8."""
    return PREFIX + hmac.digest(key, f"{source}\0{patient}".encode(), hashlib.sha256).hex()


def read_key() -> bytes | None:
    """The key of this project; None where it is not at hand.

    Raises:
        ParamsError: What lies at its place is no key.
    """
    try:
        key = KEY.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refusal(f"{KEY} cannot be read: {error.strerror}") from None
    if len(key) != _KEY_BYTES:
        raise _refusal(f"{KEY} has {len(key):,} bytes, not {_KEY_BYTES}")
    return key


def make_key() -> bytes:
    """The key of this project, which is drawn once: only its owner may read it."""
    if key := read_key():
        return key
    key = secrets.token_bytes(_KEY_BYTES)
    KEY.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic(KEY) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
    return key


def among(source: str, patients: Iterable[str], listed: Collection[str]) -> set[str]:
    """Those of some patients whose digests are on a list; nobody without the key.

    Args:
        source: Key of the source.
        patients: Their ids.
        listed: Lines of its list, or the source's entry of params.yaml; ids among them match nobody here.
    """
    digests = {line for line in listed if is_digest(line)}
    key = read_key() if digests else None
    return {patient for patient in patients if digest(key, source, patient) in digests} if key else set()


def _refusal(found: str) -> ParamsError:
    return ParamsError(
        found, f"the {_KEY_BYTES} bytes that the first erasure drew", "bring the file back from a backup"
    )
