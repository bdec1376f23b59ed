"""The project itself: its parameters, its repository, its packages and its MLflow store."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.code import installed
from glassbox.code.digests import digests
from glassbox.doctor.finding import Caution, Problem, existing
from glassbox.errors import GlassboxError
from glassbox.params.document import Params, load

if TYPE_CHECKING:
    from dvc.repo import Repo

#: Whose versions are shown, whether a stage depends on them or not.
_SHOWN = ("dvc", "kaggle", "keras", "mlflow", "tensorflow")
_SQLITE = "sqlite:///"


def parameters() -> tuple[str, Params]:
    """Whether params.yaml says what to build."""
    params = load()
    return f"profile {params.profile}: {', '.join(params.experiments) or 'no experiments'}", params


def repository() -> tuple[str, Repo]:
    """Whether this folder is the root of a DVC project in a git repository."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    here = Path.cwd()
    try:
        repo = Repo()
    except NotDvcRepoError:
        action = "change to the project's folder, or run `dvc init` in it"
        raise Problem(f"{here} is in no DVC project", action) from None
    except SCMError as error:
        raise Problem(str(error), "run `git init`, or clone the project with git") from None
    except DvcException as error:
        raise Problem(f"DVC: {error}", "mend .dvc/config or .dvc/config.local; `dvc doctor` says more") from None
    if Path(repo.root_dir) != here.resolve():
        repo.close()
        raise Problem(f"{here} is not the project's root", f"change to {repo.root_dir}")
    return "git, DVC initialised", repo


def pipeline(repo: Repo) -> str:
    """Whether DVC can lay out the stages of dvc.yaml with these parameters."""
    from dvc.exceptions import DvcException

    try:
        stages = [stage for stage in repo.index.stages if stage.cmd]
    except DvcException as error:
        raise Problem(str(error), "mend dvc.yaml; `dvc stage list` says whether it is whole") from None
    if not stages:
        raise Problem("there are no stages here", "bring dvc.yaml back: `git checkout dvc.yaml`")
    return f"{len(stages)} stages"


def code() -> str:
    """Whether this command runs the modules of this folder: another copy's would check another project."""
    try:
        installed.refuse_foreign(Path.cwd())
    except GlassboxError as error:
        raise Caution(f"{error.found}, not in {error.expected}", error.action) from None
    return "the modules in src/"


def packages() -> str:
    """Whether the installed packages that stages depend on are the locked ones: a stage works with no others."""
    locked = {name: at for stage in digests(Path()).values() for name, at in stage.packages.items()}
    installed.check(locked)
    shown = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
    return f"Python {platform.python_version()}, {shown}; all {len(locked)} behind the stages as locked"


def store() -> str:
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
                raise Problem(f"{shown}: {place} cannot be written", action)
        if not path.exists():
            return f"{shown} will be made"
    open_store()
    return shown
