"""Files by their MD5, from wherever a copy lies: DVC's cache, the workspace, a remote. Each is hashed again."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.lineage.digests import sums
from glassbox.lineage.lock import LineageError
from glassbox.lineage.remotes import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glassbox.lineage.remotes import Remote
    from glassbox.lineage.trace.records import File


class Objects:
    """What DVC holds for a project, or held once. Nothing is written to its cache.

    Args:
        root: The project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, file: File, folder: Path, action: str) -> None:
        """Puts a file at its path below a folder.

        Args:
            file: Which one.
            folder: An empty one.
            action: What to do where there is no copy of it.

        Raises:
            LineageError: No copy of it can be read.
        """
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        damaged = []
        for where, copy in self._local(file):
            if sums(copy).md5 == file.md5:
                target.symlink_to(copy)
                return
            if where == "cache":  # in the workspace another file at its path is the rule
                damaged.append("that in the cache is another file")
        # Opened after all copies on disk were looked at: a remote may be far away.
        for remote in self._remotes:
            try:
                if isinstance(remote, LineageError):
                    raise remote
                if not remote.fetch(file.md5, target):
                    continue
            except LineageError as error:
                damaged.append(error.found)
                continue
            if sums(target).md5 == file.md5:
                return
            damaged.append(f"that in remote {remote.name} is another file")
        said = f": {'; '.join(damaged)}" if damaged else " in cache, workspace or remotes"
        raise LineageError(f"{file.path} (md5 {file.md5}) has no whole copy{said}", "the file as it was", action)

    def _local(self, file: File) -> Iterator[tuple[str, Path]]:
        cached = Path(self._repo.cache.local.oid_to_path(file.md5))
        if cached.is_file():
            yield "cache", cached
        if (own := self._root / file.path).is_file():
            yield "workspace", own

    @cached_property
    def _repo(self) -> Any:
        # Importing DVC takes longer than a trace whose files were all read before.
        from glassbox.lineage.revision import Revision

        return Revision(self._root, None).repo

    @cached_property
    def _remotes(self) -> list[Remote | LineageError]:
        """Each that the project has, or why it cannot be used."""
        found: list[Remote | LineageError] = []
        for name in self._repo.config["remote"]:
            try:
                found += named(self._repo, [name])
            except LineageError as error:
                found.append(error)
        return found
