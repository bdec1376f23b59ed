"""The project itself: its parameters, its repository, its packages and its MLflow store."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.code import installed
from glassbox.code.digests import digests
from glassbox.code.source import refuse_foreign
from glassbox.doctor.finding import Finding, existing, refused
from glassbox.errors import GlassboxError
from glassbox.params.document import Params, load
from glassbox.params.read import ParamsError
from glassbox.paths import PARAMS
from glassbox.tracking.store import TrackingError

if TYPE_CHECKING:
    from dvc.repo import Repo

#: Whose versions are shown, whether a stage depends on them or not.
_SHOWN = ("dvc", "kaggle", "keras", "mlflow", "tensorflow")
_SQLITE = "sqlite:///"


def parameters() -> tuple[Finding, Params | None]:
    """Whether params.yaml says what to build; the parameters where it does."""
    try:
        params = load()
    except ParamsError as error:
        return refused("parameters", error), None
    except (OSError, UnicodeDecodeError) as error:
        found = f"{PARAMS} cannot be read: {error}"
        return Finding("parameters", "problem", found, "mend it, or run `glassbox use demo`"), None
    found = f"profile {params.profile}: {', '.join(params.experiments) or 'no experiments'}"
    return Finding("parameters", "ok", found), params


def repository() -> tuple[Finding, Repo | None]:
    """Whether this folder is the root of a DVC project in a git repository; the repository where it is."""
    from dvc.config import ConfigError
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        repo = Repo()
    except NotDvcRepoError:
        action = "change to the project's folder, or run `dvc init` in it"
        return Finding("repository", "problem", f"{Path.cwd()} is in no DVC project", action), None
    except SCMError as error:
        return Finding("repository", "problem", str(error), "run `git init`, or clone the project with git"), None
    except ConfigError as error:
        return Finding("repository", "problem", f"DVC: {error}", "mend .dvc/config or .dvc/config.local"), None
    except (DvcException, OSError) as error:
        return Finding("repository", "problem", f"DVC: {error}", "see to that; `dvc doctor` says more"), None
    if Path(repo.root_dir) != Path.cwd().resolve():
        repo.close()
        found = f"{Path.cwd()} is not the project's root"
        return Finding("repository", "problem", found, f"change to {repo.root_dir}"), None
    return Finding("repository", "ok", "git, DVC initialised"), repo


def pipeline(repo: Repo) -> Finding:
    """Whether DVC can lay out the stages of dvc.yaml with these parameters."""
    from dvc.exceptions import DvcException

    try:
        stages = [stage for stage in repo.index.stages if stage.cmd]
    except DvcException as error:
        return Finding(
            "pipeline", "problem", str(error), "mend dvc.yaml; `dvc stage list` says whether it is whole"
        )
    if not stages:
        return Finding(
            "pipeline", "problem", "there are no stages here", "bring dvc.yaml back: `git checkout dvc.yaml`"
        )
    return Finding("pipeline", "ok", f"{len(stages)} stages")


def code() -> Finding:
    """Whether this command runs the modules of this folder: another copy's would check another project."""
    try:
        refuse_foreign(Path.cwd())
    except GlassboxError as error:
        return Finding("code", "warning", f"{error.found}, not in {error.expected}", error.action)
    return Finding("code", "ok", "the modules in src/")


def packages() -> Finding:
    """Whether the installed packages that stages depend on are the locked ones: a stage works with no others."""
    try:
        reached = [stage.packages for stage in digests(Path()).values()]
    except GlassboxError as error:
        return refused("packages", error)
    except OSError as error:
        found = f"{error.filename}, which tells what stages depend on, cannot be read: {error.strerror}"
        return Finding("packages", "problem", found, f"bring it back: `git checkout {error.filename}`")
    locked = {name: version for packages in reached for name, version in packages.items()}
    try:
        installed.check(locked)
        shown = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
    except GlassboxError as error:
        return Finding("packages", "problem", f"{error.found}, not {error.expected}", error.action)
    except PackageNotFoundError as error:
        return Finding("packages", "problem", f"{error.name} is not installed", "run `uv sync`")
    python = platform.python_version()
    return Finding("packages", "ok", f"Python {python}, {shown}; all {len(locked)} behind the stages as locked")


def store() -> Finding:
    """Whether the MLflow store can be written; one that is there is opened as a training opens it."""
    from glassbox.tracking.store import open_store, tracking_uri, without_credentials

    uri = tracking_uri()
    shown = without_credentials(uri)
    if uri.startswith(_SQLITE):
        path = Path(uri.removeprefix(_SQLITE))
        # SQLite writes beside its file as well.
        for place in (existing(path), existing(path.parent)):
            if not os.access(place, os.W_OK):
                action = "make it writable, or set MLFLOW_TRACKING_URI to another store"
                return Finding("MLflow store", "problem", f"{shown}: {place} cannot be written", action)
        if not path.exists():
            return Finding("MLflow store", "ok", f"{shown} will be made")
    try:
        open_store()
    except TrackingError as error:
        return refused("MLflow store", error)
    return Finding("MLflow store", "ok", shown)
