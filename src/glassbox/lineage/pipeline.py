"""dvc.yaml, as DVC resolves it: what every stage is to run, to read and to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dvc.dependency import ParamsDependency
from dvc.dvcfile import load_file
from dvc.exceptions import DvcException

from glassbox.lineage.link import DAMAGED
from glassbox.lineage.lock import LineageError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

NAME = "dvc.yaml"


class Out(NamedTuple):
    """How an output is kept."""

    #: In git, not in DVC's cache.
    is_in_git: bool
    #: Whether `dvc push` takes it to remotes.
    is_pushed: bool


class Declared(NamedTuple):
    """A stage. Paths are from the project's root, with slashes."""

    cmd: str
    deps: frozenset[str]
    #: Dotted keys of params.yaml.
    params: frozenset[str]
    outs: dict[str, Out]


#: By the content of dvc.yaml and params.yaml: many revisions have the same, and DVC takes a tenth of a second.
_RESOLVED: dict[tuple[bytes, bytes], dict[str, Declared]] = {}


def declared(repo: Repo, pipeline: bytes, params: bytes, place: str) -> dict[str, Declared]:
    """The stages of a revision, by name: `fine_tune@infiltration_vgg16`.

    Args:
        repo: At that revision.
        pipeline: Content of its dvc.yaml. One in a folder has no say.
        params: Of its params.yaml.
        place: Which revision it is, for messages.

    Raises:
        LineageError: DVC cannot resolve it.
    """
    # It may read other files, whose content is not looked at here.
    if b"vars" in pipeline or (pipeline, params) not in _RESOLVED:
        _RESOLVED[pipeline, params] = _resolved(repo, place)
    return _RESOLVED[pipeline, params]


def _resolved(repo: Repo, place: str) -> dict[str, Declared]:
    try:
        file = load_file(repo, repo.fs.join(repo.root_dir, NAME))
        # Without dvc.lock, which is read as data, and compared with this.
        return {name: _stage(stage) for name, stage in file.LOADER(file, file.contents, {}).items()}
    except (DvcException, *DAMAGED) as error:
        said = " ".join(str(error).split())
        raise LineageError(
            f"{NAME} of {place} cannot be resolved: {said}",
            "stages that fit params.yaml",
            f"run `git checkout {NAME} params.yaml`",
        ) from None


def _stage(stage: PipelineStage) -> Declared:
    params = [one for one in stage.deps if isinstance(one, ParamsDependency)]
    return Declared(
        stage.cmd,
        frozenset(one.def_path for one in stage.deps if one not in params),
        frozenset(key for one in params for key in one.params),
        {out.def_path: Out(not out.use_cache, bool(out.can_push)) for out in stage.outs},
    )
