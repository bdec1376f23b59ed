"""The audit of a model: every link from it to the archive and the initial weights, verified again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import archive, model
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import resolved
from glassbox.lineage import contents, parcel, pixels, runs, stages
from glassbox.lineage.account import record
from glassbox.lineage.link import Link, Verdict, verified
from glassbox.lineage.lock import NAME, LineageError
from glassbox.lineage.outputs import Output, generate, outputs
from glassbox.lineage.revision import git
from glassbox.lineage.subject import Subject, find
from glassbox.lineage.view import CODE, view
from glassbox.params.experiments import PHASES
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from glassbox.artifacts.model import Lineage
    from glassbox.lineage.record import Record
    from glassbox.lineage.revision import Revision


#: How many files a message names.
_NAMED = 5


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


def audit(said: str, root: Path, *, without_archive: bool = False, again: int = 0) -> Audit:
    """Verifies what made a model.

    Args:
        said: The model, as `subject.find` takes it.
        root: The project's folder, absolute.
        without_archive: Whether a missing archive does no harm. What was read from it is verified all the same.
        again: How many stored images are made again from the archive.

    Raises:
        LineageError: There is no such model, no revision made it, or its dvc.lock cannot be read.
        TrackingError: The MLflow store cannot be used.
    """
    subject = find(said, root)
    revision = subject.revision
    chain = stages_behind(subject)
    held = committed(revision, chain, root)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        made = outputs(revision, chain, folder / "git")
        for output in made:
            generate(output, revision.params, folder / "generated")
        found = [_link(output, without_archive=without_archive) for output in made]
        found += stages.links(revision, chain, made)
        with view(folder / "view", revision, made):
            inside, lineage, known = _inside(subject, held, made, again)
        found += inside
        if lineage is not None and subject.phase == "fine_tune":
            files = model.Files(*(folder / "view" / path for path in model.files(subject.experiment)))
            found += runs.links(lineage, files)
    return Audit(subject, [*found, held], known)


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
        bad = next((link for link in done.links if link.needed and link.verdict != Verdict.VERIFIED), None)
        why = f"{bad.name} is {bad.verdict}: {bad.found}" if bad else "some of what made it cannot be read"
        raise LineageError(
            f"{said} is not proved: {why}", "a model whose audit passes", f"run `glassbox audit {said}`"
        )
    return done.record


def _link(output: Output, *, without_archive: bool) -> Link:
    """The verdict on an output. What measured the model did not make it, and an archive may be excused."""
    link = output.link
    is_archive = output.tracked.path == archive.path(Path(output.tracked.path).stem).as_posix()
    is_measured = output.stage.startswith(("predict@", "evaluate@"))
    if link.verdict == Verdict.MISSING and ((is_archive and without_archive) or is_measured):
        return link._replace(needed=False)
    return link


def _inside(
    subject: Subject, held: Link, made: Sequence[Output], again: int
) -> tuple[list[Link], Lineage | None, Record | None]:
    """What the artifacts in the current folder say of each other, the model's own record, and that of all."""
    key, phases = subject.experiment, PHASES[: PHASES.index(subject.phase) + 1]
    found = contents.code_links() + contents.recipe_links(key)
    training, lineage = contents.training_links(key, phases)
    found += training
    try:
        whole = resolved(key)
    except ArtifactError:  # which the recipe's link says
        return found, lineage, None
    stored = {place: sha256 for output in made for place, sha256 in output.pixels.items()}
    data, seen = contents.data_links(whole, stored)
    found += [*contents.weight_links(whole), *data]
    if again and seen is not None:
        found += pixels.recomputed(whole, seen.images, again)
    if lineage is None or seen is None:
        return found, lineage, None
    if any(output.stage == f"evaluate@{key}" for output in made):
        found += contents.score_links(key, lineage.model_sha256)
    try:
        commit = held.found if held.verdict == Verdict.VERIFIED else None
        return found, lineage, record(subject, commit, made, lineage, seen)
    except (ArtifactError, FileNotFoundError):  # which a link says
        return found, lineage, None


def stages_behind(subject: Subject) -> list[str]:
    """The stages behind a model, those that it rests on first, and those that measured it."""
    lock, key = subject.revision.lock, subject.experiment
    chain = lock.chain(subject.stage)
    measured = [f"predict@{key}", f"evaluate@{key}"]
    if subject.phase == "fine_tune" and lock.stages.keys() >= set(measured):
        made = {out.path: out.md5 for out in lock.stages[subject.stage].outs}
        seen = {one.path: one.md5 for stage in measured for one in lock.stages[stage].deps}
        # Else another model was measured, before this one was trained.
        if all(made.get(path, md5) == md5 for path, md5 in seen.items()):
            chain = list(dict.fromkeys([*chain, *lock.chain(measured[-1])]))
    return chain


def committed(revision: Revision, chain: Iterable[str], root: Path) -> Link:
    """The commit that holds all that a revision says of a model, if one does."""
    if revision.commit is not None:
        return verified("commit", revision.commit)
    kept = {
        out.def_path
        for stage in chain
        if stage in revision.stages
        for out in revision.stages[stage].outs
        if not out.use_cache
    }
    places = (NAME, "dvc.yaml", str(PARAMS), *CODE, *sorted(kept))
    head = git(root, "rev-parse", "HEAD").strip()
    changed = git(root, "diff", "--name-only", "--relative", head, "--", *places).split("\n")
    changed += git(root, "ls-files", "--others", "--exclude-standard", "--", *places).split("\n")
    if named := sorted(filter(None, changed)):
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return Link(
            "commit",
            Verdict.UNCOMMITTED,
            f"{', '.join(named[:_NAMED])}{more} differ from commit {head[:10]}",
            "a commit that holds them",
            "commit them; until then MLflow's run has to say the same",
        )
    return verified("commit", head)
