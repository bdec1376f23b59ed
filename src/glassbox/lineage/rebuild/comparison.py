"""Two makings of one model: what dvc.lock says of either, and, where machines differ, what was measured."""

from __future__ import annotations

import json
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from glassbox.artifacts import evaluation, model, predictions
from glassbox.artifacts.damage import ArtifactError, typed
from glassbox.artifacts.evaluation import Scores
from glassbox.params.experiments import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from glassbox.artifacts.predictions import Table
    from glassbox.lineage.lock import Entry, Lock
    from glassbox.lineage.outputs import Output
    from glassbox.params.experiments import PhaseName

#: Stages that train, or that read what was trained: on another kind of machine they give other bytes. All others
#: give the same on every machine.
_TRAINED = ("weights", "grid", "choose", "warm_start", "fine_tune", "predict", "evaluate")
#: The scores that are held against each other; those of the first group have intervals, and decide.
HEADLINE, OTHERS = ("roc_auc", "accuracy"), ("average_precision", "loss")


class Verdict(StrEnum):
    """What came of a rebuild."""

    #: Every artifact has the same bytes.
    IDENTICAL = "identical"
    #: Trained on another kind of machine from the same bytes; no score tells the models apart.
    EQUIVALENT = "equivalent"
    #: Neither.
    DIFFERENT = "different"


class Artifact(NamedTuple):
    """An output of a stage in both makings."""

    stage: str
    path: str
    #: MD5 in the recorded dvc.lock, and in that of the rebuild; of a folder that of the list of its files.
    recorded: str
    rebuilt: str | None  #: None where the rebuild has none.
    #: Files of a folder that are not the same in both, where both are at hand.
    files: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether it has the same bytes."""
        return self.recorded == self.rebuilt


class First(NamedTuple):
    """The first stage whose outputs differ."""

    stage: str
    #: What else it ran on or with than dvc.lock says; empty where all of that agrees.
    inputs: tuple[str, ...]


class Measured(NamedTuple):
    """What the artifacts of one making say of its model, as far as they are at hand."""

    #: The kind of machine.
    machine: dict[str, Any] | None
    scores: Scores | None
    #: By variant; empty where they are not at hand.
    predictions: dict[str, Table]


class Pair(NamedTuple):
    """A score in both makings, each with its interval where it has one."""

    variant: str
    name: str
    recorded: float
    rebuilt: float
    #: Low and high.
    recorded_interval: tuple[float, float] | None
    rebuilt_interval: tuple[float, float] | None

    @property
    def agrees(self) -> bool:
        """Whether each score lies in the other's interval; a score without one decides nothing."""
        if self.recorded_interval is None or self.rebuilt_interval is None:
            return True
        (low, high), (least, most) = self.recorded_interval, self.rebuilt_interval
        return low <= self.rebuilt <= high and least <= self.recorded <= most


class Distance(NamedTuple):
    """How far the probabilities of a test variant lie apart."""

    variant: str
    images: int
    #: Largest and mean absolute difference over all images and classes.
    largest: float
    mean: float


def is_trained(stage: str) -> bool:
    """Whether a stage gives other bytes on another kind of machine."""
    return stage.partition("@")[0] in _TRAINED


def artifacts(recorded: Lock, rebuilt: Lock, chain: Iterable[str]) -> list[Artifact]:
    """Every output of some stages, in both."""
    return [
        Artifact(stage, out.path, out.md5, _outs(rebuilt, stage).get(out.path))
        for stage in chain
        for out in recorded.stages[stage].outs
    ]


def first(recorded: Lock, rebuilt: Lock, chain: Sequence[str]) -> First | None:
    """The first stage whose outputs differ although all that it ran on agrees; None where no outputs differ.

    Where there is no such stage, dvc.lock is not of the files beside it; the first stage that shows it is given.
    """
    differing = [stage for stage in chain if _outs(recorded, stage) != _outs(rebuilt, stage)]
    found = [First(stage, _others(recorded.stages[stage], rebuilt.stages[stage])) for stage in differing]
    return next((one for one in found if not one.inputs), found[0] if found else None)


def _outs(lock: Lock, stage: str) -> dict[str, str]:
    return {out.path: out.md5 for out in lock.stages[stage].outs}


def _others(recorded: Entry, rebuilt: Entry) -> tuple[str, ...]:
    """What a stage ran on or with that differs."""
    before, after = ({one.path: one.md5 for one in entry.deps} for entry in (recorded, rebuilt))
    found = [path for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]
    found += ["params.yaml"] * (recorded.params != rebuilt.params) + ["its command"] * (
        recorded.cmd != rebuilt.cmd
    )
    return tuple(found)


def with_files(found: Artifact, recorded: Iterable[Output], rebuilt: Iterable[Output]) -> Artifact:
    """An artifact with the files in it that differ, where both makings have it whole."""
    before, after = (
        {one.tracked.path: one.members for one in each}.get(found.path) for each in (recorded, rebuilt)
    )
    if found.same or not before or not after:
        return found
    names = sorted(before.keys() | after.keys())
    return found._replace(files=tuple(name for name in names if name and before.get(name) != after.get(name)))


def measured(experiment: str, phase: PhaseName) -> Measured:
    """What the artifacts in the current folder say of a model; an older format counts as not at hand."""
    machine = scores = lineage = None
    tables: dict[str, Table] = {}
    with suppress(ArtifactError):
        lineage = model.read_lineage(experiment, phase)
        tables = {name: predictions.read(experiment, name, lineage.model_sha256) for name in VARIANTS}
    with suppress(ArtifactError):
        machine = lineage.machine if lineage else evaluation.read_machine(experiment)
    # Without their record, which git does not keep: the file was held against dvc.lock.
    place = evaluation.folder(experiment) / evaluation.SCORES
    with suppress(ArtifactError, FileNotFoundError, ValueError):
        scores = typed(place, json.loads(place.read_bytes()), Scores, f"evaluate@{experiment}")
    return Measured(machine, scores, tables)


def machines(recorded: Measured, rebuilt: Measured) -> list[str]:
    """The facts in which the kinds of machine differ; none where one of them is not known."""
    before, after = recorded.machine, rebuilt.machine
    if before is None or after is None:
        return []
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def pairs(recorded: Measured, rebuilt: Measured) -> list[Pair]:
    """The scores of both, of every variant that both have."""
    before, after = recorded.scores or {}, rebuilt.scores or {}
    return [
        _pair(variant, name, before[variant].flat(), after[variant].flat())
        for variant in before
        if variant in after
        for name in HEADLINE + OTHERS
    ]


def _pair(variant: str, name: str, recorded: Mapping[str, Any], rebuilt: Mapping[str, Any]) -> Pair:
    bounds = [
        (one[f"{name}_low"], one[f"{name}_high"]) if name in HEADLINE else None for one in (recorded, rebuilt)
    ]
    return Pair(variant, name, recorded[name], rebuilt[name], bounds[0], bounds[1])


def distances(recorded: Mapping[str, Table], rebuilt: Mapping[str, Table]) -> Iterator[Distance]:
    """How far the predictions of both lie apart, of every variant of the same images and classes."""
    for variant, before in recorded.items():
        after = rebuilt.get(variant)
        if after is None or before.classes != after.classes or not np.array_equal(before.images, after.images):
            continue
        apart = np.abs(before.probabilities.astype(np.float64) - after.probabilities)
        yield Distance(variant, len(apart), float(apart.max()), float(apart.mean()))


def judge(
    found: Sequence[Artifact], first: First | None, machine: Sequence[str], scores: Sequence[Pair]
) -> tuple[Verdict, str]:
    """The verdict, and why, as a clause.

    Args:
        found: All artifacts.
        first: The first stage that differs: of those that give the same bytes everywhere, if one of these does.
        machine: In which facts the kinds of machine differ.
        scores: Of both.
    """
    differing = [one for one in found if not one.same]
    if not differing:
        stages = len({one.stage for one in found})
        return Verdict.IDENTICAL, f"{len(found)} artifacts of {stages} stages, made again, have the same bytes"
    assert first is not None, "an artifact differs"
    if not machine or not all(is_trained(one.stage) for one in differing):
        if first.inputs:
            return (
                Verdict.DIFFERENT,
                f"stage {first.stage} ran on other inputs than dvc.lock says: {', '.join(first.inputs)}",
            )
        return (
            Verdict.DIFFERENT,
            f"stage {first.stage} is the first whose outputs differ although its inputs agree",
        )
    kind = f"on another kind of machine ({', '.join(name.replace('_', ' ') for name in machine)})"
    deciding = [one for one in scores if one.name in HEADLINE]
    if not deciding:
        return Verdict.DIFFERENT, f"{kind} other bytes are expected, but no scores of both are at hand to compare"
    if beyond := [f"{one.variant} {one.name}" for one in deciding if not one.agrees]:
        return Verdict.DIFFERENT, f"{kind} {', '.join(beyond)} lies outside of the other model's interval"
    return Verdict.EQUIVALENT, f"{kind}, from the same data, each score lies in the other model's interval"
