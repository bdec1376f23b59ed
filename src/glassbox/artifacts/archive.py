"""The archive of a source: one zip, and in git the record of what it is and where it came from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import document
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.members import contents
from glassbox.paths import DATA, METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glassbox.artifacts.members import Member


def path(source: str) -> Path:
    """Where the zip of a source lies."""
    return DATA / "archives" / f"{source}.zip"


def record_path(source: str) -> Path:
    """Where the record of a source lies."""
    return METRICS / "sources" / f"{source}.json"


def describe(archive: Path, sha256: str, members: Sequence[Member], **provenance: str | int) -> dict[str, Any]:
    """The record of an archive.

    Args:
        archive: The zip, for its size in bytes.
        sha256: Of its bytes.
        members: Its members, each with its SHA-256.
        provenance: Where it came from: the kind of its source and, from Kaggle, ref, version and licence.
    """
    suffixes = Counter(PurePosixPath(member.name).suffix for member in members)
    return {
        **provenance,
        "bytes": archive.stat().st_size,
        "sha256": sha256,
        "members": len(members),
        "members_sha256": contents((member.name, member.sha256) for member in members),
        "files": [{"suffix": suffix, "members": count} for suffix, count in sorted(suffixes.items())],
    }


def write(source: str, record: Mapping[str, Any]) -> None:
    """Writes the record of a source."""
    document.write(record_path(source), record, f"download@{source}")


def recorded(source: str) -> dict[str, Any]:
    """The record of a source; an empty one where it is missing or damaged: the archive is then verified anew."""
    try:
        return document.read(record_path(source), f"download@{source}")
    except ArtifactError:
        return {}
