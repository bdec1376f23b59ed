"""JSON that carries the SHA-256 of its own content, so that another value, or half a file, does not pass for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from glassbox.artifacts.damage import ArtifactError
from glassbox.files import fingerprint, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Its key, the last one of the object.
DIGEST = "content_sha256"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes an object as JSON, atomically, with the digest of its content (keys sorted, no spaces) at its end."""
    write_json(path, {**content, DIGEST: fingerprint(content)})


def read(path: Path, stage: str) -> dict[str, Any]:
    """The content of an object that `write` wrote, without the digest.

    Args:
        path: The file.
        stage: The stage that makes it, for messages.

    Raises:
        ArtifactError: The file is missing, is no JSON object, or its content is not what was written.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(path, "is not there", stage) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(path, f"is no JSON: {str(error)[:200]}", stage) from None
    if not isinstance(content, dict) or DIGEST not in content:
        raise ArtifactError(path, f"is no JSON object with its {DIGEST}", stage)
    digest = content.pop(DIGEST)
    try:
        found = fingerprint(content)
    except ValueError:  # NaN or Infinity, which `write` refuses
        found = "none"
    if found != digest:
        raise ArtifactError(path, f"was changed: its content has the SHA-256 {found}, not {digest}", stage)
    return content
