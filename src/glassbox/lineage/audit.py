"""The audit of a model: every link from it to the archive and the initial weights, verified again."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import resolved
from glassbox.errors import GlassboxError
from glassbox.lineage import committed, contents, grids, pixels, runs, stages
from glassbox.lineage.account import record
from glassbox.lineage.erasure.verdict import erased_outputs, refuse
from glassbox.lineage.link import Link, Verdict
from glassbox.lineage.lock import LineageError
from glassbox.lineage.outputs import Output, generate, outputs
from glassbox.lineage.parcel import parcel
from glassbox.lineage.remotes import named
from glassbox.lineage.revision import Revision
from glassbox.lineage.subject import Subject, find
from glassbox.lineage.view import view
from glassbox.params.experiments import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glassbox.lineage.record import Record


class Audit(NamedTuple):
    """What came of it."""

    subject: Subject
    links: list[Link]
    #: What made the model; None where some of it is missing or damaged.
    record: Record | None

    @property
    def passed(self) -> bool:
        """Whether all that is needed verifies.

        What is in no commit passes where MLflow's run, which was written while the model was made, says the same.
        """
        verdicts = {link.verdict for link in self.links if link.needed}
        confirmed = any(link.name.startswith(runs.RUN) and link.verdict == Verdict.VERIFIED for link in self.links)
        return verdicts <= {Verdict.VERIFIED} | ({Verdict.UNCOMMITTED} if confirmed else set())


def audit(
    said: str, root: Path, *, without_archive: bool = False, again: int = 0, remotes: Sequence[str] = ()
) -> Audit:
    """Verifies what made a model.

    Args:
        said: The model, as `subject.find` takes it.
        root: The project's folder, absolute.
        without_archive: Whether a missing archive does no harm. What was read from it is verified all the same.
        again: How many stored images are made again from the archive.
        remotes: Names of DVC's remotes in which copies are looked for, too, and hashed again.

    Raises:
        LineageError: There is no such model, no revision made it, its dvc.lock cannot be read, or a remote cannot.
        TrackingError: The MLflow store cannot be used.
    """
    # Arrow's own allocator keeps what it was given once: a quarter of the whole process over NIH's 112,120 images.
    pa.set_memory_pool(pa.system_memory_pool())
    subject = find(said, root)
    revision, chain = subject.revision, stages_behind(subject)
    # A commit may be older than the remote.
    far = named(Revision(root, None).repo, remotes) if remotes else ()
    others = [stage for stage in _measuring(subject) if stage not in chain]
    held = committed.link(revision, chain, others, subject.md5, root)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        made = outputs(revision, chain, folder / "git", far)
        gone = erased_outputs(revision.lock, chain, root)
        for output in made:
            output.erased = gone.get(output.tracked.path, "")
            generate(output, revision.params, folder / "generated")
        found = [_link(output, without_archive=without_archive) for output in made]
        if gone:  # what the rest says of each other would only say, of much, that it is not there
            return Audit(subject, [*found, held], None)
        found += stages.links(revision, chain, made)
        with view(folder / "view", revision, made):
            inside = _inside(subject, held, made, again)
        found += inside.links
        if inside.proved is not None:
            found += runs.links(inside.proved, whole=held.verdict != Verdict.VERIFIED)
    return Audit(subject, [*found, held], inside.record)


def against(done: Audit, kept: Path, key: Path | None) -> Audit:
    """An audit with the verdict on a parcel of the model beside it, as `parcel.compared` takes it."""
    if done.record is None:
        return done
    return done._replace(links=[*done.links, *parcel.compared(done.record, kept, key)])


def proved(said: str, root: Path, *, without_archive: bool = False) -> Record:
    """The record of a model whose audit passes; arguments are those of `audit`.

    Raises:
        LineageError: It does not pass. Besides, what `audit` raises.
    """
    done = audit(said, root, without_archive=without_archive)
    if done.record is None or not done.passed:
        refuse(said, done.subject.revision, stages_behind(done.subject), root)
        bad = next((link for link in done.links if link.needed and link.verdict != Verdict.VERIFIED), None)
        why = f"{bad.name} is {bad.verdict}: {bad.found}" if bad else "some of what made it cannot be read"
        raise LineageError(
            f"{said} is not proved: {why}", "a model whose audit passes", f"run `glassbox audit {said}`"
        )
    return done.record


def _link(output: Output, *, without_archive: bool) -> Link:
    """The verdict on an output. What measured the model did not make it, and an archive may be excused."""
    link = output.link
    is_measured = output.stage.startswith(("predict@", "evaluate@"))
    if link.verdict == Verdict.MISSING and ((output.is_archive and without_archive) or is_measured):
        return link._replace(needed=False)
    return link


class _Inside(NamedTuple):
    """What the artifacts of a view say."""

    links: list[Link]
    #: What MLflow has to say; None where some of it is missing or damaged.
    proved: runs.Proved | None = None
    record: Record | None = None


def _inside(subject: Subject, held: Link, made: Sequence[Output], again: int) -> _Inside:
    """What the artifacts in the current folder say of each other, and of the model."""
    key, phases = subject.experiment, PHASES[: PHASES.index(subject.phase) + 1]
    found = contents.code_links() + contents.recipe_links(key)
    is_committed = held.verdict == Verdict.VERIFIED
    training, lineage = contents.training_links(key, phases, is_committed=is_committed)
    found += training
    try:
        whole = resolved(key)
    except ArtifactError:  # which the recipe's link says
        return _Inside(found)
    sha256 = {output.tracked.path: output.sha256 for output in made}
    data, seen = contents.data_links(whole, sha256)
    found += [*contents.weight_links(whole), *data, *grids.links(whole, sha256)]
    if again and seen is not None:
        found += pixels.recomputed(whole, seen.images, again)
    scores: list[Link] = []
    if lineage is not None and _is_at_hand(_measuring(subject), made):
        scores = contents.score_links(key, lineage.model_sha256)
    found += scores
    is_measured = any(link.verdict == Verdict.VERIFIED for link in scores)
    known = account = None
    # What is missing or damaged, a link says.
    with suppress(GlassboxError, FileNotFoundError):
        if lineage is not None and subject.phase == "fine_tune":
            known = runs.proved(lineage, evaluated=is_measured)
        if lineage is not None and seen is not None:
            commit = held.found if is_committed else None
            account = record(subject, commit, made, lineage, seen, is_measured=is_measured)
    return _Inside(found, known, account)


def _is_at_hand(stages: Iterable[str], made: Iterable[Output]) -> bool:
    """Whether there are copies of everything that some stages wrote, and they wrote something."""
    copies = {stage: [bool(output.copies) for output in made if output.stage == stage] for stage in stages}
    return bool(copies) and all(found and all(found) for found in copies.values())


def stages_behind(subject: Subject) -> list[str]:
    """The stages behind a model, those that it rests on first, and those that measured it."""
    lock = subject.revision.lock
    chain, measured = lock.chain(subject.stage), _measuring(subject)
    if measured and lock.stages.keys() >= set(measured):
        made = {out.path: out.md5 for out in lock.stages[subject.stage].outs}
        seen = {one.path: one.md5 for stage in measured for one in lock.stages[stage].deps}
        # Else another model was measured, before this one was trained.
        if all(made.get(path, md5) == md5 for path, md5 in seen.items()):
            chain = list(dict.fromkeys([*chain, *lock.chain(measured[-1])]))
    return chain


def _measuring(subject: Subject) -> list[str]:
    """The stages that measure a model: none a warm start's."""
    return [f"{name}@{subject.experiment}" for name in ("predict", "evaluate") if subject.phase == "fine_tune"]
