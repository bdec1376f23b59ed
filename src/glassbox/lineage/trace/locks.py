"""Every dvc.lock on record: that of the workspace, and those of all that git and DVC have a name for."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from glassbox.lineage.git import blobs, contents, git
from glassbox.lineage.lock import NAME, LineageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

#: The reference by which DVC names a commit of an experiment; others below `refs/exps/` are its own business.
_EXPERIMENT = re.compile(r"(?P<commit>[0-9a-f]{40,}) refs/exps/[0-9a-f]{2}/[0-9a-f]{38,}/(?P<name>.+)")
#: What the workspace is called where it holds what no commit does.
WORKSPACE = "workspace"


class Revisions(NamedTuple):
    """Where a content of dvc.lock was recorded."""

    #: Those that wrote it, the newest first; or `WORKSPACE` alone.
    commits: tuple[str, ...]
    #: Names of experiments of DVC's that are among them.
    experiments: tuple[str, ...]


def every(root: Path) -> dict[str, Revisions]:
    """The contents of dvc.lock, by their ids in git, those recorded last first.

    Args:
        root: The project's folder.

    Raises:
        LineageError: The folder is in no repository of git, or neither a commit nor the folder has a dvc.lock.
    """
    # Git would leave out a side of a merge that the merge did not take anything from.
    commits = git(root, "log", "--all", "--full-history", "--format=%H", "--", NAME).split()
    found: dict[str, list[str]] = {}
    for name, blob in blobs(root, [f"{commit}:./{NAME}" for commit in commits]).items():
        found.setdefault(blob, []).append(name.partition(":")[0])
    named = _experiments(root)
    held = {
        blob: Revisions(tuple(of), tuple(name for commit in of for name in named.get(commit, ())))
        for blob, of in found.items()
    }
    if (content := _workspace(root)) is not None and (blob := _id(content)) not in held:
        held = {blob: Revisions((WORKSPACE,), ()), **held}
    if not held:
        raise LineageError(
            f"there is no {NAME} in {root}, nor in any commit of it",
            "a project in which models were recorded",
            "run this in the project's root, after `dvc repro`",
        )
    return held


def read(root: Path, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Contents of dvc.lock, by the ids that `every` gives them."""
    content = _workspace(root)
    own = _id(content) if content is not None else ""
    if content is not None and own in ids:
        yield own, content
    yield from contents(root, [name for name in ids if name != own])


def is_shallow(root: Path) -> bool:
    """Whether the repository was cloned without its whole history."""
    return git(root, "rev-parse", "--is-shallow-repository").strip() == "true"


def _experiments(root: Path) -> dict[str, list[str]]:
    """Commit -> names of DVC's experiments."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found: dict[str, list[str]] = {}
    for reference in filter(None, map(_EXPERIMENT.fullmatch, listed)):
        found.setdefault(reference["commit"], []).append(reference["name"])
    return found


def _workspace(root: Path) -> bytes | None:
    path = root / NAME
    return path.read_bytes() if path.is_file() else None


def _id(content: bytes) -> str:
    """The id that git gives a file."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
