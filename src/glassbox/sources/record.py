"""The record of an archive: `metrics/sources/<source>.json`, in git, says what it is and where it came from."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from glassbox import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.sources.zip import Member


def place(source: str) -> Path:
    """Where the record of a source lies."""
    return layout.METRICS / "sources" / f"{source}.json"


def describe(
    archive: Path, sha256: str, members: Sequence[Member], contents: str, **provenance: str | int
) -> dict[str, Any]:
    """The record of an archive.

    Args:
        archive: The zip, for its size in bytes.
        sha256: Of its bytes.
        members: Its members.
        contents: What `zip.verify` gave for them: it says whether another zip holds the same files.
        provenance: Where it came from: the kind of its source and, from Kaggle, ref, version and licence.
    """
    suffixes = Counter(PurePosixPath(member.name).suffix for member in members)
    return {
        **provenance,
        "bytes": archive.stat().st_size,
        "sha256": sha256,
        "members": len(members),
        "members_sha256": contents,
        "files": [{"suffix": suffix, "members": count} for suffix, count in sorted(suffixes.items())],
    }


def read(path: Path) -> dict[str, Any]:
    """A record, or any other object in JSON; an empty one where there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def contents(source: str, sha256: str) -> str | None:
    """What is recorded of the contents of a source's archive, if the record is one of these very bytes."""
    found = read(place(source))
    return found.get("members_sha256") if found.get("sha256") == sha256 else None
