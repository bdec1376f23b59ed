"""JSON that says what it is and carries the SHA-256 of its content: no other value, file or half a file passes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from glassbox.artifacts import damage
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import fingerprint, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")
#: Its first key: what the file is. Its last one: the digest of all the others.
_IDENTITY, _DIGEST = "artifact", "content_sha256"


def write(path: Path, content: Mapping[str, Any], stage: str) -> None:
    """Writes an object as JSON, atomically, between what it is and the digest of both (keys sorted, no spaces)."""
    whole = {_IDENTITY: damage.identity(path, stage), **content}
    write_json(path, {**whole, _DIGEST: fingerprint(whole)})


def read(path: Path, stage: str) -> dict[str, Any]:
    """The object that `write` wrote."""
    try:
        content = json.loads(damage.content(path, stage))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(path, f"is no JSON: {error}", stage) from None
    if not isinstance(content, dict) or _DIGEST not in content:
        raise ArtifactError(path, f"is no JSON object with its {_DIGEST}", stage)
    digest = content.pop(_DIGEST)
    try:
        found = fingerprint(content)
    except (ValueError, RecursionError):  # NaN or Infinity, which `write` refuses; or nested without end
        found = "none"
    if found != digest:
        raise ArtifactError(path, f"was changed: its content has the SHA-256 {found}, not {digest}", stage)
    damage.identify(path, content.pop(_IDENTITY, None), stage)
    return content


def read_typed(path: Path, stage: str, kind: type[T], key: str | None = None) -> T:
    """The object that `write` wrote, or what it has under a key, as a type that pydantic checks."""
    content = read(path, stage)
    return damage.typed(path, content if key is None else content.get(key), kind, stage)
