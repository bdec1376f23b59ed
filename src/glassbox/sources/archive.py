"""A source's archive as one file at its place: generated, or copied from the user's own zip."""

from __future__ import annotations

import fcntl
import shutil
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.errors import ArchiveError
from glassbox.files import atomic, sha256_file, write_json
from glassbox.params import ArchiveSource, KaggleSource, Params, PhantomSource
from glassbox.sources import phantom
from glassbox.sources.zip import members

if TYPE_CHECKING:
    from pathlib import Path

#: Linux's request to share the blocks of another file (reflink); from linux/fs.h.
_FICLONE = 0x40049409


def fetch(params: Params, source: str) -> None:
    """Puts the zip of `sources.<source>` at `layout.archive(source)` and says what it is in `metrics/sources/`.

    Raises:
        ArchiveError: The zip is missing, is not the promised one, or is no zip.
    """
    settings = params.sources[source]
    target = layout.archive(source)
    if isinstance(settings, PhantomSource):
        phantom.write(settings, target)
    elif isinstance(settings, ArchiveSource):
        copy(settings, source, target)
    else:
        raise _kaggle_by_hand(settings, source)
    archive = members(target)
    write_json(
        layout.METRICS / "sources" / f"{source}.json",
        {
            "kind": settings.kind,
            "bytes": target.stat().st_size,
            "sha256": sha256_file(target),
            "members": len(archive),
            "files": [
                {"suffix": suffix, "members": count}
                for suffix, count in sorted(
                    Counter(PurePosixPath(member.name).suffix for member in archive).items()
                )
            ],
        },
    )


def copy(settings: ArchiveSource, source: str, target: Path) -> None:
    """Copies a user's zip, sharing its blocks where the file system can.

    Never a hard link: DVC makes what it tracks read-only, and would do so to the user's own file.
    """
    if not settings.path.is_file():
        raise ArchiveError(
            f"sources.{source}: there is no file {settings.path}",
            "the zip that the source names",
            f"put it there, or run `glassbox use PROFILE sources.{source}.path=WHERE_IT_IS`",
        )
    if (found := sha256_file(settings.path)) != settings.sha256:
        raise ArchiveError(
            f"sources.{source}: {settings.path} has sha256 {found}",
            f"sha256 {settings.sha256}",
            "use the archive that the parameters name, or, if this one is meant, "
            f"set sources.{source}.sha256 to what was found",
        )
    members(settings.path)
    with atomic(target) as temporary:
        with settings.path.open("rb") as original, temporary.open("wb") as clone:
            try:
                fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())
            except OSError:  # another file system, or one without reflinks
                shutil.copyfileobj(original, clone, 16 * 1024 * 1024)
        if sha256_file(temporary) != settings.sha256:
            raise ArchiveError(
                f"sources.{source}: {settings.path} changed while it was copied",
                "an archive at rest",
                "run `dvc repro` again when nothing writes to it",
            )


def _kaggle_by_hand(settings: KaggleSource, source: str) -> ArchiveError:
    return ArchiveError(
        f"sources.{source} is kaggle:{settings.ref} version {settings.version}, "
        "which this version of Glassbox cannot fetch by itself",
        "a source of kind archive or phantom",
        f"download it (`kaggle datasets download {settings.ref}`) and set sources.{source} to "
        f"kind: archive with its path, sha256 and layout: {settings.layout}",
    )
