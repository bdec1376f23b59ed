"""A state of the project in which models were recorded: a commit, or the workspace as it stands."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml
from dvc.exceptions import DvcException
from dvc.fs import GitFileSystem
from dvc.repo import Repo
from dvc.scm import SCM
from scmrepo.exceptions import SCMError

from glassbox.lineage.git import git
from glassbox.lineage.lock import FOLDER, NAME, LineageError, Lock, Tracked, parse
from glassbox.lineage.pipeline import NAME as PIPELINE
from glassbox.lineage.pipeline import Declared, Out, declared
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Revision:
    """A commit of a project, or its workspace. Paths are from the project's root, with slashes.

    Args:
        root: The project's folder.
        commit: Its full name, or None for the workspace.

    Raises:
        LineageError: The folder holds no DVC project, or the revision has no dvc.lock.
    """

    def __init__(self, root: Path, commit: str | None) -> None:
        self.commit = commit
        try:
            self.repo = Repo(str(root)) if commit is None else _at(root, commit)
        except (DvcException, SCMError) as error:
            raise LineageError(
                f"{self.name} of {root} is no DVC project: {error}",
                "a project with its dvc.lock",
                "run this in the project's root",
            ) from None
        except OSError as error:  # DVC makes a folder even to read a workspace
            raise LineageError(
                f"{self.name} of {root} cannot be opened by DVC: {error}",
                "a folder .dvc/tmp, or the right to make it",
                "run `dvc status` once as somebody who may write there",
            ) from None
        self._root = self.repo.root_dir
        self._files: dict[str, dict[str, bytes]] = {}

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"commit {self.commit[:10]}" if self.commit else "the workspace"

    @cached_property
    def lock(self) -> Lock:
        """Its dvc.lock."""
        return parse(self.content(NAME), self.name)

    @cached_property
    def params(self) -> Any:
        """What its params.yaml says."""
        try:
            return yaml.load(self.content("params.yaml"), yaml.CSafeLoader)
        except yaml.YAMLError as error:
            said = " ".join(str(error).split())
            raise LineageError(
                f"params.yaml of {self.name} is no YAML: {said}",
                "a YAML mapping",
                "run `git checkout params.yaml`",
            ) from None

    @cached_property
    def stages(self) -> dict[str, Declared]:
        """Its dvc.yaml as DVC resolves it: every stage by name."""
        return declared(self.repo, self.content(PIPELINE), self.content(str(PARAMS)), self.name)

    def content(self, path: str) -> bytes:
        """The bytes of a file that git tracks, or, in the workspace, of any file."""
        try:
            content: bytes = self.repo.fs.cat_file(self._at(path))
        except (OSError, SCMError) as error:
            missing = isinstance(error, FileNotFoundError)
            what = "is not there" if missing else f"cannot be read: {error}"
            raise LineageError(f"{path} of {self.name} {what}", "the file", f"run `git checkout {path}`") from None
        return content

    def files(self, path: str) -> dict[str, bytes]:
        """The content of a file, or of all in a folder that DVC does not ignore, by path. It is read once."""
        fs, root = self.repo.fs, self._root
        if path not in self._files and not fs.isdir(self._at(path)):
            self._files[path] = {path: self.content(path)}
        elif path not in self._files:
            found = {
                fs.relpath(file, root).replace(os.sep, "/")
                for file in self.repo.dvcignore.find(fs, self._at(path))
            }
            self._files[path] = {name: self.content(name) for name in sorted(found)}
        return self._files[path]

    def present(self, path: str) -> dict[str, bytes]:
        """The same; nothing where nothing is there."""
        return self.files(path) if self.repo.fs.exists(self._at(path)) else {}

    def out(self, stage: str, path: str) -> Out:
        """How dvc.yaml has an output kept; as any other, where it names none."""
        outs = self.stages[stage].outs if stage in self.stages else {}
        return outs.get(path, Out(is_in_git=False, is_pushed=True))

    def tracked(self, path: str) -> Tracked:
        """A file or folder, as DVC would write it down now."""
        files = self.files(path)
        size = sum(map(len, files.values()))
        sums = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in files.items()}
        if path in sums:
            return Tracked(path=path, hash="md5", md5=sums[path], size=size)
        inside = {name.removeprefix(f"{path}/"): md5 for name, md5 in sums.items()}
        return Tracked(path=path, hash="md5", md5=folder_md5(inside), size=size, nfiles=len(inside))

    def _at(self, path: str) -> str:
        return str(self.repo.fs.join(self._root, path))


def _at(root: Path, commit: str) -> Repo:
    """A project at a commit. DVC itself would look for it in the root of git's tree alone."""
    scm = SCM(str(root))
    return Repo(f"/{prefix(root)}", fs=GitFileSystem(scm=scm, rev=commit), scm=scm)


def prefix(root: Path) -> str:
    """Where a project lies in its repository of git: empty for the root, else a path that ends in a slash."""
    return git(root, "rev-parse", "--show-prefix").removesuffix("\n")


def folder_md5(files: Mapping[str, str]) -> str:
    """DVC's MD5 of a folder: of the JSON list of its files, as `dvc_data` writes it.

    Args:
        files: Path from the folder, with slashes -> MD5.
    """
    listed = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + FOLDER


def folder_files(listing: bytes) -> dict[str, str]:
    """Path -> MD5 of the files in DVC's list of a folder, as `folder_md5` takes them; nothing of a damaged one."""
    try:
        return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(listing)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def head(root: Path) -> str | None:
    """The full name of the commit that is checked out; None where git has none."""
    try:
        return git(root, "rev-parse", "--verify", "-q", "HEAD").strip()
    except LineageError:
        return None


def commits(root: Path, md5: str) -> list[str]:
    """The commits whose dvc.lock holds an MD5, HEAD first and then the newest; experiments of DVC's included."""
    # Git would leave out the sides of a merge that it took nothing from, and what the merge itself wrote.
    every_side = ("--full-history", "-m")
    changed = git(root, "log", "--all", *every_side, "--format=%H", f"-S{md5}", "--", NAME).split()
    every = dict.fromkeys([*filter(None, [head(root)]), *changed])
    return [commit for commit in every if md5.encode() in lock_of(root, commit)]


def lock_of(root: Path, commit: str) -> bytes:
    """The dvc.lock of a commit; nothing before the first build."""
    try:
        return os.fsencode(git(root, "show", f"{commit}:./{NAME}"))
    except LineageError:
        return b""
