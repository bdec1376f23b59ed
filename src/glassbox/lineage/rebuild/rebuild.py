"""A rebuild: a model's revision checked out, everything made again from the archive, and all of it compared."""

from __future__ import annotations

import tempfile
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.lineage import committed, link
from glassbox.lineage.audit import stages_behind
from glassbox.lineage.erasure.verdict import refuse
from glassbox.lineage.lock import LineageError
from glassbox.lineage.outputs import outputs
from glassbox.lineage.rebuild import comparison
from glassbox.lineage.rebuild.checkout import checkout, reproduce, synced
from glassbox.lineage.revision import Revision
from glassbox.lineage.subject import find
from glassbox.lineage.view import lay_out
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from glassbox.lineage.outputs import Output
    from glassbox.lineage.rebuild.checkout import Environment
    from glassbox.lineage.rebuild.comparison import Artifact, Distance, First, Measured, Pair, Verdict
    from glassbox.lineage.subject import Subject


class Rebuild(NamedTuple):
    """What came of it."""

    #: The stage that made the model, and the commit.
    stage: str
    commit: str
    verdict: Verdict
    #: Why, as a clause.
    because: str
    artifacts: list[Artifact]
    first: First | None
    #: The facts in which the kinds of machine differ.
    machine: list[str]
    recorded: Measured
    rebuilt: Measured
    scores: list[Pair]
    distances: list[Distance]
    #: Where the checkout stays.
    kept: Path | None


def rebuild(said: str, root: Path, *, keep: Path | None = None, environment: Environment = synced) -> Rebuild:
    """Makes a model again, from the archive and the initial weights, and compares every artifact on the way.

    The project itself, its cache and its MLflow store are only read.

    Args:
        said: The model, as `subject.find` takes it.
        root: The project's folder, absolute.
        keep: Where the checkout stays, a folder that is empty or not there; without it, it is removed.
        environment: Sets up the packages of the checkout.

    Raises:
        LineageError: There is no such model, no commit holds what made it, or it cannot be made again here.
        TrackingError: The MLflow store, which was asked for the model, cannot be used.
    """
    subject = find(said, root)
    chain = stages_behind(subject)
    refuse(said, subject.revision, chain, root)
    revision = _revision(subject, chain, root)
    with _folder(root, keep) as folder:
        project = checkout(root, revision, chain, folder)
        reproduce(project, chain[-1], environment)
        again = Revision(project, None)
        _refuse_others(subject, chain, revision, again.lock.stages)
        return _compared(subject, revision, chain, again)._replace(kept=keep and project)


def _revision(subject: Subject, chain: Sequence[str], root: Path) -> Revision:
    """The commit to check out."""
    held = committed.link(subject.revision, chain, [], subject.md5, root)
    if held.verdict != link.Verdict.VERIFIED:
        raise LineageError(held.found, f"{held.expected}: a rebuild begins at one", "commit it first")
    revision = Revision(root, held.found)
    _refuse_others(subject, chain, revision, revision.stages)
    return revision


def _refuse_others(subject: Subject, chain: Sequence[str], revision: Revision, there: Collection[str]) -> None:
    """Refuses a pipeline that lacks a stage which dvc.lock says was behind the model."""
    if others := [stage for stage in chain if stage not in there]:
        raise LineageError(
            f"dvc.yaml of {revision.name} has no stage {', '.join(others)} behind {chain[-1]}",
            f"the stages that its dvc.lock says made {subject.stage}",
            "name a revision whose dvc.yaml and dvc.lock belong together",
        )


@contextmanager
def _folder(root: Path, keep: Path | None) -> Iterator[Path]:
    """Where the checkout lies: on the disk of the project, which has room for its data, and may share blocks."""
    place = keep or root / WORK
    try:
        place.mkdir(parents=True, exist_ok=True)
        if keep is None:
            # What a process that was killed with this one still writes there is no reason to fail.
            temporary = tempfile.TemporaryDirectory(prefix="rebuild-", dir=place, ignore_cleanup_errors=True)
        elif any(keep.iterdir()):
            raise LineageError(f"--keep {keep}: something is there", "an empty folder, or none", "name another")
    except OSError as error:
        raise LineageError(
            f"{place} cannot be built in: {error.strerror}", "a folder that can be written", "name one with --keep"
        ) from None
    if keep is None:
        with temporary as name:
            yield Path(name).resolve()
    else:
        yield keep.resolve()


def _compared(subject: Subject, revision: Revision, chain: Sequence[str], again: Revision) -> Rebuild:
    """Everything that was made again against what was recorded."""
    found = comparison.artifacts(revision.lock, again.lock, chain)
    differing = {one.stage for one in found if not one.same}
    read = [stage for stage in chain if stage in differing or stage.endswith(f"@{subject.experiment}")]
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary).resolve()
        after = outputs(again, read, scratch)
        recorded = rebuilt = _measured(subject, after, scratch / "rebuilt")
        if differing:
            before = outputs(subject.revision, read, scratch / "git")
            found = [comparison.with_files(one, before, after) for one in found]
            recorded = _measured(subject, before, scratch / "recorded")
    machine = comparison.machines(recorded, rebuilt)
    everywhere = [stage for stage in chain if not comparison.is_trained(stage)]
    # On another kind of machine, what that cannot excuse comes first.
    first = (comparison.first(revision.lock, again.lock, everywhere) if machine else None) or comparison.first(
        revision.lock, again.lock, chain
    )
    scores = comparison.pairs(recorded, rebuilt)
    return Rebuild(
        subject.stage,
        str(revision.commit),
        *comparison.judge(found, first, machine, scores),
        found,
        first,
        machine,
        recorded,
        rebuilt,
        scores,
        list(comparison.distances(recorded.predictions, rebuilt.predictions)),
        kept=None,
    )


def _measured(subject: Subject, made: Sequence[Output], folder: Path) -> Measured:
    """What some outputs say of a model, as far as whole copies of them are at hand."""
    lay_out(folder, made)
    with chdir(folder):
        return comparison.measured(subject.experiment, subject.phase)
