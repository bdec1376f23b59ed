"""The project itself: its parameters, its repository, its packages and its MLflow store."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from glassbox import layout
from glassbox.doctor.finding import Finding, existing, refused
from glassbox.errors import ParamsError, TrackingError
from glassbox.params import Params, load

if TYPE_CHECKING:
    from dvc.repo import Repo

_ENVIRONMENT = Path("environment.yaml")
#: Shown whatever environment.yaml names.
_SHOWN = ("dvc", "kaggle", "keras", "mlflow", "tensorflow")
_SQLITE = "sqlite:///"


def parameters() -> tuple[Finding, Params | None]:
    """Whether params.yaml says what to build; the parameters where it does."""
    try:
        params = load(layout.PARAMS)
    except ParamsError as error:
        return refused("parameters", error), None
    except (OSError, UnicodeDecodeError) as error:
        found = f"{layout.PARAMS} cannot be read: {error}"
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


def packages() -> Finding:
    """Whether the installed packages are those that environment.yaml, and with it every artifact, names.

    DVC compares that file, not what is installed: what another version makes would pass for the locked one's.
    """
    try:
        locked = yaml.safe_load(_ENVIRONMENT.read_text(encoding="utf-8"))
        wanted = {name: str(locked[name]) for name in sorted(locked)}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        found = f"{_ENVIRONMENT}, on which stages depend, cannot be read: {error}"
        return Finding("packages", "problem", found, f"bring it back: `git checkout {_ENVIRONMENT}`")
    installed = {name: _installed(name) for name in sorted({*wanted, *_SHOWN})}
    if missing := [name for name, found in installed.items() if found is None]:
        return Finding("packages", "problem", f"not installed: {', '.join(missing)}", "run `uv sync`")
    shown = ", ".join([f"Python {platform.python_version()}", *(f"{name} {installed[name]}" for name in _SHOWN)])
    if others := {name: found for name, found in installed.items() if wanted.get(name, found) != found}:
        differences = ", ".join(f"{name} {found} (locked: {wanted[name]})" for name, found in others.items())
        return Finding(
            "packages",
            "warning",
            f"{differences}; {shown}",
            "run `uv sync`: what other versions make cannot be compared with what the locked ones made",
        )
    return Finding("packages", "ok", f"{shown}; all {len(wanted)} of {_ENVIRONMENT} as locked")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


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
