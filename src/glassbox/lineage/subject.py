"""The model that is asked about, and the revision that says what made it."""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from dvc.exceptions import DvcException
from dvc.scm import resolve_rev
from scmrepo.exceptions import SCMError

from glassbox.artifacts import model
from glassbox.lineage.digests import sums
from glassbox.lineage.lock import NAME, LineageError
from glassbox.lineage.revision import Revision, commits
from glassbox.params.experiments import PHASES
from glassbox.tracking.model import ERASED_TAG, held
from glassbox.tracking.store import existing, refusing

if TYPE_CHECKING:
    from glassbox.params.experiments import PhaseName
    from glassbox.tracking.store import Store

_RUN = re.compile(r"[0-9a-f]{32}")
_REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>.+)|/(?P<version>[0-9]+))")


class Subject(NamedTuple):
    """What is audited."""

    revision: Revision
    #: Which wrote the model: `fine_tune@infiltration_vgg16`.
    stage: str

    @property
    def experiment(self) -> str:
        """Its key."""
        return self.stage.partition("@")[2]

    @property
    def phase(self) -> PhaseName:
        """The phase that it ends."""
        return cast("PhaseName", self.stage.partition("@")[0])

    @property
    def md5(self) -> str:
        """DVC's name for it."""
        path = model.files(self.experiment, self.phase).model.as_posix()
        return next(out.md5 for out in self.revision.lock.stages[self.stage].outs if out.path == path)


def find(said: str, root: Path) -> Subject:
    """The model that somebody names, with the revision that made it.

    A file that the workspace's dvc.lock knows by its path is audited with the workspace as it stands. Whatever
    else is named is looked up by its MD5: in HEAD, then in all other commits, DVC's experiments included, the
    newest first, then in the workspace.

    Args:
        said: A file, `path@revision`, the id of an MLflow run, or `models:/name@alias` or `models:/name/version`.
        root: The project's folder.

    Raises:
        LineageError: There is no such thing, or no revision made it.
        TrackingError: The MLflow store cannot be reached or read.
    """
    path = Path(said)
    with suppress(OSError):  # a name longer than names can be
        if path.is_file():
            return _of_file(path, root)
    if said.startswith("models:/"):
        return _of_run(said, _registered(said), root)
    if _RUN.fullmatch(said):
        return _of_run(f"run {said}", said, root)
    name, at, revision = said.rpartition("@")
    if at:
        return _at(name, revision, root)
    inside, workspace = _inside(path, root), _workspace(root)
    if inside and (stage := workspace.lock.producer(inside)):
        return Subject(workspace, _training(stage, inside))
    raise LineageError(
        f"there is no file {said}",
        "a model file, path@revision, the id of an MLflow run, or models:/name@alias",
        "name one, as models/<experiment>/model.keras",
    )


def _workspace(root: Path) -> Revision:
    return Revision(root, None)


def _of_file(path: Path, root: Path) -> Subject:
    inside = _inside(path, root)
    workspace = _workspace(root)
    stage = workspace.lock.producer(inside) if inside else None
    if inside and stage:
        return Subject(workspace, _training(stage, inside))
    for name, declared in workspace.stages.items():
        if inside in declared.outs:
            raise LineageError(
                f"{NAME} of the workspace does not say that {name} wrote {inside}",
                "what dvc.yaml says",
                f"run `git checkout {NAME}`, or `dvc repro {name}`",
            )
    md5 = sums(path).md5
    return _by_md5(f"{path} (md5 {md5})", [md5], root)


def _by_md5(said: str, candidates: list[str], root: Path) -> Subject:
    for md5 in candidates:
        for revision in (*(Revision(root, commit) for commit in commits(root, md5)), _workspace(root)):
            for stage, out in revision.lock.holding(md5):
                if _is_model(stage, out.path):
                    return Subject(revision, stage)
    raise LineageError(
        f"no revision made {said}",
        "a model that the dvc.lock of some commit, of an experiment or of the workspace names",
        "fetch the branch that made it, and DVC's experiments with `dvc exp pull`",
    )


def _at(name: str, revision: str, root: Path) -> Subject:
    """`path@revision`, or the name of an experiment of DVC's in its place."""
    workspace = _workspace(root)
    try:
        commit = resolve_rev(workspace.repo.scm, revision)
    except (DvcException, SCMError):
        raise LineageError(
            f"{name}@{revision}: git knows no revision {revision}",
            "a commit, a branch, a tag or an experiment of DVC's",
            "look at `git log --all` and `dvc exp show`",
        ) from None
    found, inside = Revision(root, commit), _inside(Path(name), root) or name
    stage = found.lock.producer(inside)
    if stage is None:
        raise LineageError(
            f"{name}@{revision}: no stage of {found.name} made it",
            "a model that its dvc.lock names",
            f"look at `git show {revision}:dvc.lock`",
        )
    return Subject(found, _training(stage, inside))


def _training(stage: str, path: str) -> str:
    if not _is_model(stage, path):
        raise LineageError(
            f"{path} is no model: stage {stage} made it",
            "a .keras file of warm_start or fine_tune",
            "name models/<experiment>/model.keras",
        )
    return stage


def _is_model(stage: str, path: str) -> bool:
    """Whether what a stage wrote at a path is the model of a phase."""
    phase, _, key = stage.partition("@")
    return phase in PHASES and path == model.files(key, phase).model.as_posix()


def _inside(path: Path, root: Path) -> str | None:
    """A path from the project's root, with slashes; None for one that leads out of it."""
    absolute = path.absolute()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else None


def _store(said: str) -> Store:
    store = existing()
    if store is None:
        raise LineageError(
            f"{said}: there is no MLflow store",
            "the store that the run was logged to",
            "set MLFLOW_TRACKING_URI, or run `glassbox track`, which writes one from what is on disk",
        )
    return store


def _registered(said: str) -> str:
    """The run of a registered model."""
    from mlflow.exceptions import MlflowException

    parts, client = _REGISTERED.fullmatch(said), _store(said).client
    if parts is None:
        raise LineageError(f"{said} names no model", "models:/name@alias or models:/name/version", "name one")
    try:
        version = (
            client.get_model_version_by_alias(parts["name"], parts["alias"])
            if parts["alias"]
            else client.get_model_version(parts["name"], parts["version"])
        )
    except MlflowException as error:
        raise LineageError(
            f"{said}: {' '.join(str(error).split())}",
            "models:/name@alias or models:/name/version of a registered model",
            "look at the models in the MLflow UI",
        ) from None
    return str(version.run_id)


def _of_run(said: str, run_id: str, root: Path) -> Subject:
    """The model that MLflow holds of a run, found by the bytes that it holds."""
    from mlflow.exceptions import MlflowException

    store = _store(said)
    with tempfile.TemporaryDirectory() as folder:
        try:
            tags = store.client.get_run(run_id).data.tags
        except MlflowException as error:
            raise LineageError(
                f"{said}: {' '.join(str(error).split())}",
                "a run of the store",
                "look at the runs in the MLflow UI",
            ) from None
        with refusing():
            found = [sums(path).md5 for path in held(store, run_id, Path(folder))]
    if not found and ERASED_TAG in tags:
        raise LineageError(
            f"{said} has no model any more: an erasure of patients removed {tags[ERASED_TAG]}",
            "a run whose model was not removed",
            "name the model that `dvc repro` made after the erasure",
        )
    if not found:
        raise LineageError(
            f"{said} has no model", "a run in which a training ended", "wait for it, or name another one"
        )
    return _by_md5(f"the model of {said} (md5 {', '.join(found)})", found, root)
