"""A source's archive as one file at its place: generated, copied from a zip of the user's, or fetched."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import archive, members
from glassbox.files import atomic, sha256_file
from glassbox.params.sources import ArchiveSource, KaggleSource
from glassbox.sources import phantom, pinned
from glassbox.sources import zip as zips
from glassbox.sources.checksums import checksums
from glassbox.sources.errors import ArchiveError
from glassbox.sources.patience import PATIENCE, Patience

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.artifacts.members import Member
    from glassbox.params.sources import AnySource

#: Linux's request to share the blocks of another file (reflink); from linux/fs.h.
_FICLONE = 0x40049409


def fetch(settings: AnySource, source: str, patience: Patience = PATIENCE) -> None:
    """Puts the zip of a source, the index of its members and its record in place.

    A zip that is there already with the SHA-256 that the parameters or its record promise is neither copied nor
    fetched again, and read again only where its index is gone. Generated ones are always drawn anew.

    Args:
        settings: The source.
        source: Its key.
        patience: With Kaggle.

    Raises:
        ArchiveError: The zip is missing, is not the promised one, is damaged, or cannot be fetched.
    """
    place = archive.path(source)
    provenance: dict[str, Any] = {"kind": settings.kind}
    read: list[Member] = []
    if isinstance(settings, KaggleSource):
        sha256, read, provenance = pinned.fetch(settings, source, patience)
    elif isinstance(settings, ArchiveSource):
        copy(settings, source, place)
        sha256 = settings.sha256
    else:
        phantom.write(settings, place)
        sha256 = sha256_file(place)
    read = read or members.known(source, sha256) or zips.verify(place, zips.members(place), label=str(place))
    members.write(source, read, sha256)
    archive.write(archive.record_path(source), source, archive.describe(place, sha256, read, **provenance))
    pinned.tidy(source)


def copy(settings: ArchiveSource, source: str, target: Path) -> None:
    """Copies a user's zip, sharing its blocks where the file system can, unless the copy is there.

    Never a hard link: DVC makes what it tracks read-only, and would do so to the user's own file.
    """
    if target.is_file():
        (found,) = checksums(target, "sha256")
        if found == settings.sha256:
            print(f"{target}: verified, sha256 {found}")
            return
        print(f"{target} has sha256 {found}, not {settings.sha256}: copying {settings.path}", file=sys.stderr)
    if not settings.path.is_file():
        raise ArchiveError(
            f"sources.{source}: there is no file {settings.path}",
            "the zip that the source names",
            f"put it there, or run `glassbox use PROFILE sources.{source}.path=WHERE_IT_IS`",
        )
    # Before gigabytes are copied.
    zips.members(settings.path)
    try:
        with atomic(target) as temporary:
            if (found := _clone(settings.path, temporary)) != settings.sha256:
                raise ArchiveError(
                    f"sources.{source}: {settings.path} has sha256 {found}",
                    f"sha256 {settings.sha256}",
                    "use the archive that the parameters name, or, if this one is meant and nothing writes to it, "
                    f"set sources.{source}.sha256 to what was found",
                )
    except OSError as error:
        raise ArchiveError(
            f"sources.{source}: {settings.path} cannot be copied to {target}: {error.strerror}",
            "a file that can be read, and room for a copy of it",
            "see to that and run `dvc repro` again",
        ) from None


def _clone(path: Path, target: Path) -> str:
    """Copies a file; returns the SHA-256 of the copy, which is read or written once."""
    with path.open("rb") as original, target.open("wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())
        except OSError:  # another file system, or one without reflinks
            if path.stat().st_size > shutil.disk_usage(target.parent).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            return checksums(path, "sha256", copy=clone)[0]
    return checksums(target, "sha256")[0]
