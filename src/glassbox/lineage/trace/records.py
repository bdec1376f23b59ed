"""What a dvc.lock says of models: the folds that each was trained on, chosen by and tested on, by their MD5."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import Field, NonNegativeInt, PositiveInt

from glassbox.artifacts import catalog, cells, model, split
from glassbox.lineage.lock import LineageError, Lock, parse
from glassbox.params.base import Frozen
from glassbox.params.experiments import PHASES, PhaseName
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from glassbox.lineage.lock import Entry, Tracked

T = TypeVar("T")
#: What a model's file ends with.
MODEL = ".keras"


class File(Frozen):
    """A file that a stage read or wrote."""

    #: From the project's root, with slashes.
    path: str
    md5: str


class Images(File):
    """A table of images: a catalog, or a fold."""

    #: Where they come from.
    source: str


class Fold(Images):
    """A fold of a split."""

    split: str

    @property
    def name(self) -> str:
        """`train`, `validation` or `test`."""
        return PurePosixPath(self.path).stem


class Model(Frozen):
    """A training. Two that ended in the same bytes and took another number of epochs are two."""

    experiment: str
    #: That it ends with.
    phase: PhaseName
    file: File
    history: File
    lineage: File
    train: Fold
    validation: Fold
    #: MD5 of the model that it goes on from; empty for a warm start.
    before: str
    #: MD5 of the grid's choice that its recipe follows; empty where it follows none.
    choice: str

    @property
    def stage(self) -> str:
        """Which wrote it."""
        return f"{self.phase}@{self.experiment}"


class Grid(Frozen):
    """The trainings of a grid."""

    name: str
    #: MD5 of all its cells.
    md5: str
    train: Fold
    validation: Fold
    seed: NonNegativeInt
    batch_size: PositiveInt
    #: Of its cells: how many images they train on, and how many cells there are for each such number.
    images: tuple[PositiveInt, ...]
    cells_each: PositiveInt
    epochs: PositiveInt
    steps_per_epoch: PositiveInt


class Test(Frozen):
    """Predictions of a model."""

    experiment: str
    model: str  #: Its MD5.
    fold: Fold


class Foreign(Frozen):
    """A stage as another version recorded it: what it read or wrote is not what this version's would."""

    #: Of the stage, with the MD5 of the model that it wrote or read, if any.
    name: str
    found: str
    #: Whether it wrote a model.
    is_model: bool


class Recorded(Frozen):
    """All that a dvc.lock says of models."""

    models: tuple[Model, ...] = ()
    tests: tuple[Test, ...] = ()
    grids: tuple[Grid, ...] = ()
    #: MD5 of a choice -> that of the cells that it was made from.
    choices: dict[str, str] = Field(default={})
    catalogs: tuple[Images, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    #: Why it cannot be read at all.
    damage: tuple[str, ...] = ()


def recorded(content: bytes, place: str) -> Recorded:
    """What a dvc.lock says of models; what this version cannot read of it is named in the result.

    Args:
        content: Its bytes.
        place: Which revision it is, for messages.
    """
    try:
        lock = parse(content, place)
    except LineageError as error:
        return Recorded(damage=(error.found,))
    foreign: list[Foreign] = []

    def all_of(kind: str, make: Callable[[Lock, str], T]) -> Iterator[T]:
        for stage, entry in lock.stages.items():
            if stage.partition("@")[0] == kind:
                try:
                    yield make(lock, stage)
                except _Other as other:
                    foreign.append(_foreign(stage, entry, str(other)))

    for stage, entry in lock.stages.items():
        if stage.partition("@")[0] not in PHASES and _models(entry.outs):
            foreign.append(_foreign(stage, entry, "is no phase of training now"))
    return Recorded(
        models=tuple(one for phase in PHASES for one in all_of(phase, _model)),
        tests=tuple(all_of("predict", _test)),
        grids=tuple(all_of("grid", _grid)),
        choices=dict(all_of("choose", _choice)),
        catalogs=tuple(all_of("catalog", _catalog)),
        foreign=tuple(foreign),
    )


class _Other(Exception):  # noqa: N818 - it is not an error that anybody sees
    """Another version recorded a stage. Says what of it is other, as the end of a sentence."""


def _foreign(stage: str, entry: Entry, found: str) -> Foreign:
    models = _models((*entry.outs, *entry.deps))
    name = f"{stage} (md5 {models[0]})" if models else stage
    return Foreign(name=name, found=found, is_model=bool(_models(entry.outs)))


def _models(files: Iterable[Tracked]) -> list[str]:
    """The MD5 of models among some files."""
    return [file.md5 for file in files if file.path.endswith(MODEL)]


def _model(lock: Lock, stage: str) -> Model:
    phase, _, experiment = stage.partition("@")
    entry, at = lock.stages[stage], model.files(experiment, cast("PhaseName", phase))
    before = model.files(experiment, "warm_start").model
    recipe = lock.stages.get(f"recipe@{experiment}")
    choices = cells.choice_path("x").parent.as_posix()
    return Model(
        experiment=experiment,
        phase=cast("PhaseName", phase),
        file=_written(entry, at.model),
        history=_written(entry, at.history),
        lineage=_written(entry, at.lineage),
        train=_fold(lock, entry, "train"),
        validation=_fold(lock, entry, "validation"),
        before=_read(entry, before).md5 if phase == "fine_tune" else "",
        choice=next((dep.md5 for dep in recipe.deps if dep.path.startswith(f"{choices}/")), "") if recipe else "",
    )


def _test(lock: Lock, stage: str) -> Test:
    experiment, entry = stage.partition("@")[2], lock.stages[stage]
    made = _read(entry, model.files(experiment).model)
    return Test(experiment=experiment, model=made.md5, fold=_fold(lock, entry, "test"))


def _grid(lock: Lock, stage: str) -> Grid:
    name, entry = stage.partition("@")[2], lock.stages[stage]
    values = entry.params.get(str(PARAMS), {})
    try:
        experiment = f"experiments.{values[f'grids.{name}.experiment']}"
        return Grid(
            name=name,
            md5=_written(entry, cells.grid_path(name)).md5,
            train=_fold(lock, entry, "train"),
            validation=_fold(lock, entry, "validation"),
            seed=values[f"{experiment}.training.seed"],
            batch_size=values[f"{experiment}.training.batch_size"],
            images=values[f"grids.{name}.images"],
            cells_each=len(values[f"grids.{name}.all_but_last"]),
            epochs=values[f"grids.{name}.epochs"],
            steps_per_epoch=values[f"grids.{name}.steps_per_epoch"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _Other(f"has other parameters: {error}") from None


def _choice(lock: Lock, stage: str) -> tuple[str, str]:
    name, entry = stage.partition("@")[2], lock.stages[stage]
    return _written(entry, cells.choice_path(name)).md5, _read(entry, cells.grid_path(name)).md5


def _catalog(lock: Lock, stage: str) -> Images:
    source = stage.partition("@")[2]
    file = _written(lock.stages[stage], catalog.path(source))
    return Images(path=file.path, md5=file.md5, source=source)


def _fold(lock: Lock, entry: Entry, name: str) -> Fold:
    """The fold of a split that a stage read."""
    for dep in entry.deps:
        key = PurePosixPath(dep.path).parent.name
        if dep.path == split.path(key, name).as_posix():
            return Fold(path=dep.path, md5=dep.md5, split=key, source=_source(lock, key))
    read = ", ".join(dep.path for dep in entry.deps if dep.path.startswith(split.folder("x").parent.as_posix()))
    raise _Other(f"read {read or 'no split'}, of which this version does not know the folds")


def _source(lock: Lock, key: str) -> str:
    """The source of a split, from the catalog that its stage read."""
    entry = lock.stages.get(f"split@{key}")
    for dep in entry.deps if entry else ():
        source = PurePosixPath(dep.path).stem
        if dep.path == catalog.path(source).as_posix():
            return source
    raise _Other(f"read split {key}, of which no stage read a catalog")


def _written(entry: Entry, path: Path) -> File:
    return _at(entry.outs, path, "wrote")


def _read(entry: Entry, path: Path) -> File:
    return _at(entry.deps, path, "read")


def _at(files: Iterable[Tracked], path: Path, verb: str) -> File:
    for file in files:
        if file.path == path.as_posix():
            return File(path=file.path, md5=file.md5)
    raise _Other(f"{verb} no {path.as_posix()}")
