"""Every model on record, over all revisions: what their dvc.locks say, joined by the MD5 of what they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from glassbox.lineage.lock import NAME
from glassbox.lineage.trace.locks import WORKSPACE, Revisions
from glassbox.lineage.trace.sighting import Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glassbox.lineage.trace.records import Fold, Grid, Images, Model, Recorded


class Known(NamedTuple):
    """A model on record."""

    #: As it was recorded, each time with another record: of the same bytes, on another machine or by other code.
    trainings: tuple[Model, ...]
    revisions: Revisions
    #: What it was tested on.
    tests: tuple[Fold, ...]
    #: Grids whose choice its recipe follows.
    grids: tuple[Grid, ...]

    @property
    def training(self) -> Model:
        """As it was recorded last."""
        return self.trainings[0]

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.training.stage} (md5 {self.training.file.md5})"

    def action(self, path: str, stage: str) -> str:
        """What may bring back a file of it that a stage wrote."""
        first = self.revisions.commits[0]
        before = "" if first == WORKSPACE else f"run `git checkout {first[:10]}`; then "
        return f"{before}`dvc fetch {path}` gets it where a remote has it, `dvc repro {stage}` makes it again"


class Ledger(NamedTuple):
    """All that is on record."""

    models: list[Known]
    recorded: int  #: How many models there are, with those that other versions recorded.
    catalogs: list[Images]
    unread: list[Unread]


def join(held: Mapping[str, Revisions], recorded: Mapping[str, Recorded]) -> Ledger:
    """Joins what all dvc.locks say.

    A warm start is listed by itself only where no fine-tuning goes on from it: else it is a part of that.

    Args:
        held: By id, where each dvc.lock was recorded, the last first.
        recorded: By id, what it says.
    """
    said = [recorded[blob] for blob in held]
    tests = {(test.experiment, test.model, test.fold.md5): test.fold for one in said for test in one.tests}
    choices = {choice: cells for one in said for choice, cells in one.choices.items()}
    grids = {grid.md5: grid for one in said for grid in one.grids}
    followed = {(model.experiment, model.before) for one in said for model in one.models}
    by_model: dict[tuple[str, ...], list[tuple[Model, str]]] = {}
    for blob, one in zip(held, said, strict=True):
        for model in one.models:
            if (model.experiment, model.file.md5) not in followed:
                by_model.setdefault(_key(model), []).append((model, blob))
    models, unread = [], _not_understood(held, recorded)
    for entries in by_model.values():
        training = entries[0][0]
        md5s = [
            choices.get(choice, choice) for choice in dict.fromkeys(model.choice for model, _ in entries) if choice
        ]
        known = Known(
            tuple({model.lineage.md5: model for model, _ in entries}.values()),
            _union(held[blob] for _, blob in entries),
            tuple(
                fold
                for (experiment, model, _), fold in tests.items()
                if (experiment, model) == (training.experiment, training.file.md5)
            ),
            tuple(grids[md5] for md5 in md5s if md5 in grids),
        )
        models.append(known)
        if lost := [md5 for md5 in md5s if md5 not in grids]:
            unread.append(_lost_grid(known, lost))
    # As it was recorded last: it says who is known at all.
    catalogs = {table.source: table for one in reversed(said) for table in one.catalogs}
    models.sort(key=lambda known: known.training.experiment)
    others = {stage.name for one in said for stage in one.foreign if stage.is_model}
    return Ledger(models, len(models) + len(others), list(catalogs.values()), unread)


def _key(model: Model) -> tuple[str, ...]:
    """What makes two records those of one training. How many epochs it took stands in its history."""
    files = (model.file, model.history, model.train, model.validation)
    return (model.stage, *(file.md5 for file in files))


def _union(revisions: Iterable[Revisions]) -> Revisions:
    every = list(revisions)
    commits = dict.fromkeys(commit for one in every for commit in one.commits)
    return Revisions(tuple(commits), tuple(dict.fromkeys(name for one in every for name in one.experiments)))


def _not_understood(held: Mapping[str, Revisions], recorded: Mapping[str, Recorded]) -> list[Unread]:
    """What cannot be read of dvc.locks: those that are damaged, and, in one, what other versions recorded."""
    found: list[Unread] = []
    stages: dict[str, str] = {}
    of: list[Revisions] = []
    for blob, revisions in held.items():
        for damage in recorded[blob].damage:
            action = f"look at `git show {revisions.commits[0][:10]}:{NAME}`"
            found.append(Unread(found=damage, action=action, models=(), revisions=revisions.commits))
        if recorded[blob].foreign:
            stages |= {stage.name: stage.found for stage in recorded[blob].foreign}
            of.append(revisions)
    if stages:
        name, said = min(stages.items())
        found.append(
            Unread(
                found=f"recorded by another version, as {name}: it {said}",
                action="look at those revisions with their own code",
                models=tuple(sorted(stages)),
                revisions=_union(of).commits,
            )
        )
    return found


def _lost_grid(known: Known, md5s: list[str]) -> Unread:
    return Unread(
        found=f"{known.training.stage} follows a choice among cells (md5 {', '.join(md5s)}) that no dvc.lock made",
        action="fetch the branch or the experiment that made it",
        models=(known.name,),
        revisions=known.revisions.commits,
    )
