"""A revision in a folder of its own: its code, its packages and its archives, and nothing that they made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.archives.download import clone
from glassbox.artifacts import archive
from glassbox.lineage.digests import sums
from glassbox.lineage.git import git
from glassbox.lineage.lock import NAME, LineageError
from glassbox.lineage.revision import prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from glassbox.lineage.lock import Tracked
    from glassbox.lineage.revision import Revision

    #: Sets up the packages of a project, given its root and the variables of its processes; returns what a command
    #: line begins with that runs a program of theirs.
    Environment = Callable[[Path, Mapping[str, str]], list[str]]

#: Variables that lead out of a checkout: to another project, another environment, another store, other machines.
_ELSEWHERE = (
    *("DVC_ROOT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT"),
    *("DASK_SCHEDULER_ADDRESS", "MLFLOW_REGISTRY_URI"),
)
#: Standard error, by its number: what runs in a checkout prints there, since standard output is the result's.
_STDERR = 2


def checkout(root: Path, revision: Revision, chain: Iterable[str], folder: Path) -> Path:
    """Puts a commit into an empty folder, with what its parameters name outside of git; the project's root there.

    There is neither dvc.lock nor cache, so that every stage has to run.

    Args:
        root: The project that it is a commit of.
        revision: The commit.
        chain: The stages that are going to run.
        folder: Where nothing but the checkout lies, absolute and without links.

    Raises:
        LineageError: Git cannot check it out, or a zip that it needs is nowhere, or cannot be copied.
    """
    relative = list(_relative(revision.params))
    # A path that leads out of the project has to lead to something in the folder.
    depth = max((Path(os.path.normpath(path)).parts.count("..") for path in relative), default=0)
    whole = folder.joinpath(*["above"] * depth, "project")
    git(root, "clone", "-q", "--no-checkout", git(root, "rev-parse", "--show-toplevel").strip(), str(whole))
    git(whole, "checkout", "-q", "--detach", str(revision.commit))
    project = whole / prefix(root)
    (project / NAME).unlink()
    settings = f"[cache]\n    dir = cache\n[core]\n    site_cache_dir = {folder / 'dvc'}\n"
    (project / ".dvc" / "config.local").write_text(settings)
    for path in relative:
        _link(Path(os.path.normpath(project / path)), root / path)
    for stage in chain:
        for out in revision.lock.stages[stage].outs:
            if out.path == archive.path(Path(out.path).stem).as_posix():
                _place(root, revision, out, project)
    return project


def _blocks(params: Any, section: str) -> dict[str, dict[str, Any]]:
    """The blocks of a section of params.yaml, of whatever version it is."""
    found = params.get(section) if isinstance(params, dict) else None
    return (
        {key: block for key, block in found.items() if isinstance(block, dict)} if isinstance(found, dict) else {}
    )


def _relative(params: Any) -> Iterator[Path]:
    """The zips and weights that parameters name by a path from the project's root."""
    for section in ("sources", "weights"):
        for block in _blocks(params, section).values():
            if isinstance(path := block.get("path"), str) and not Path(path).is_absolute():
                yield Path(path)


def _link(place: Path, path: Path) -> None:
    if path.is_file() and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path.resolve())


def _place(root: Path, revision: Revision, zip_: Tracked, project: Path) -> None:
    """Copies a source's zip to where the download stage takes it for what it promises, unless that has it anyway.

    A generated one is drawn again, and one that lies at its path is copied from there, by the stage itself.
    """
    source = Path(zip_.path).stem
    block = _blocks(revision.params, "sources").get(source, {})
    own = [root / str(block.get("path"))] if block.get("kind") == "archive" else []
    if block.get("kind") == "phantom" or any(_is(path, zip_) for path in own):
        return
    kept = [root / zip_.path, Path(revision.repo.cache.local.oid_to_path(zip_.md5))]
    whole = next((path for path in kept if _is(path, zip_)), None)
    if whole:
        _copy(whole, project / zip_.path)
    elif own:
        raise LineageError(
            f"sources.{source}: its zip is neither {own[0]} nor {kept[0]} nor in DVC's cache",
            f"the zip with md5 {zip_.md5}, of {zip_.size:,} bytes",
            f"put it at {own[0]}",
        )


def _is(path: Path, tracked: Tracked) -> bool:
    """Whether a file has the bytes that dvc.lock says; it is read."""
    return path.is_file() and path.stat().st_size == tracked.size and sums(path).md5 == tracked.md5


def _copy(path: Path, target: Path) -> None:
    """Never a hard link: DVC makes what it tracks read-only, and a checkout must reach no file of the project."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        clone(path, target)
    except OSError as error:
        raise LineageError(
            f"{path} cannot be copied to {target}: {error.strerror}",
            f"room for {path.stat().st_size:,} bytes",
            "make room, or name a folder elsewhere with --keep",
        ) from None


def reproduce(project: Path, target: str, environment: Environment) -> None:
    """Runs a stage of a checkout and all that it rests on; what they print goes to standard error.

    Args:
        project: Its root.
        target: The stage.
        environment: Sets up the packages.

    Raises:
        LineageError: The packages cannot be set up, or a stage fails.
    """
    variables = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE} | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{(project / 'mlflow.db').as_posix()}",
        "DVC_NO_ANALYTICS": "1",
    }
    words = [*environment(project, variables), "dvc", "repro", target]
    if status := _run(words, project, variables):
        raise LineageError(
            f"`dvc repro {target}` ends with status {status} in the checkout; what it says stands above",
            "stages that run at this revision",
            "mend what it says; with --keep FOLDER the checkout stays",
        )


def synced(project: Path, variables: Mapping[str, str]) -> list[str]:
    """Sets up the packages of a checkout's own uv.lock, in an environment of its own.

    Raises:
        LineageError: There is no uv, no uv.lock, or uv fails.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise LineageError("there is no uv", "uv, which installs a revision's packages", "run `pip install uv`")
    if not (project / "uv.lock").is_file():
        raise LineageError("the revision has no uv.lock", "its packages, locked", "name a later revision")
    if status := _run([uv, "sync", "--locked"], project, variables):
        raise LineageError(
            f"`uv sync --locked` ends with status {status} in the checkout; what it says stands above",
            "the packages of the revision's uv.lock, from uv's cache or the package index",
            "see to a connection and run this again",
        )
    return [uv, "run", "--no-sync"]


def _run(words: list[str], project: Path, variables: Mapping[str, str]) -> int:
    print(f"> {' '.join(words)}", file=sys.stderr, flush=True)
    return subprocess.run(words, cwd=project, env=variables, stdout=_STDERR, check=False).returncode
