"""The audit of a model: every link from it to the archive and the initial weights, verified again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import archive, model
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import resolved
from glassbox.lineage import contents, runs, stages
from glassbox.lineage.git import git
from glassbox.lineage.link import Link, Verdict, verified
from glassbox.lineage.lock import NAME
from glassbox.lineage.outputs import Output, generate, outputs
from glassbox.lineage.subject import Subject, find
from glassbox.lineage.view import CODE, view
from glassbox.params.experiments import PHASES
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glassbox.artifacts.experiment import Resolved
    from glassbox.artifacts.model import Lineage
    from glassbox.lineage.contents import Seen
    from glassbox.lineage.revision import Revision


#: How many files a message names.
_NAMED = 5


class Audit(NamedTuple):
    """What came of it. What could not be read, for want of a copy or since it is damaged, is None."""

    subject: Subject
    links: list[Link]
    #: Outputs of every stage behind the model, those that it rests on first.
    outputs: list[Output]
    experiment: Resolved | None
    lineage: Lineage | None
    seen: Seen | None

    @property
    def passed(self) -> bool:
        """Whether all that is needed verifies.

        What is in no commit passes where MLflow's run, which was written while the model was made, says the same.
        """
        verdicts = {link.verdict for link in self.links if link.needed}
        confirmed = any(link.name.startswith(runs.RUN) and link.verdict == Verdict.VERIFIED for link in self.links)
        return verdicts <= {Verdict.VERIFIED} | ({Verdict.UNCOMMITTED} if confirmed else set())


def audit(said: str, root: Path, *, without_archive: bool = False) -> Audit:
    """Verifies what made a model.

    Args:
        said: The model, as `subject.find` takes it.
        root: The project's folder, absolute.
        without_archive: Whether a missing archive does no harm. What was read from it is verified all the same.

    Raises:
        LineageError: There is no such model, no revision made it, or its dvc.lock cannot be read.
        TrackingError: The MLflow store cannot be used.
    """
    subject = find(said, root)
    revision = subject.revision
    chain = revision.lock.chain(subject.stage)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        made = outputs(revision, chain, folder / "git")
        for output in made:
            generate(output, revision.params, folder / "generated")
        found = [_excused(output) if without_archive else output.link for output in made]
        found += stages.links(revision, chain, made)
        with view(folder / "view", revision, made):
            whole, lineage, seen, inside = _inside(subject, made)
        found += inside
        if lineage is not None and subject.phase == "fine_tune":
            files = model.Files(*(folder / "view" / path for path in model.files(subject.experiment)))
            found += runs.links(lineage, files)
    if revision.commit is None:
        found.append(_committed(revision, chain, root))
    return Audit(subject, found, made, whole, lineage, seen)


def _excused(output: Output) -> Link:
    """The link of an output, which is not needed where it is an archive that is not at hand."""
    link = output.link
    is_archive = output.tracked.path.startswith(f"{archive.path('x').parent.as_posix()}/")
    return link._replace(needed=False) if link.verdict == Verdict.MISSING and is_archive else link


def _inside(
    subject: Subject, made: Iterable[Output]
) -> tuple[Resolved | None, Lineage | None, Seen | None, list[Link]]:
    """What the artifacts in the current folder say of each other."""
    key, phases = subject.experiment, PHASES[: PHASES.index(subject.phase) + 1]
    found = contents.code_links() + contents.recipe_links(key)
    training, lineage = contents.training_links(key, phases)
    found += training
    pixels = {key: sha256 for output in made for key, sha256 in output.pixels.items()}
    try:
        whole = resolved(key)
    except ArtifactError:  # which the recipe's link says
        return None, lineage, None, found
    found += contents.weight_links(whole)
    data, seen = contents.data_links(whole, pixels)
    return whole, lineage, seen, [*found, *data]


def _committed(revision: Revision, chain: Iterable[str], root: Path) -> Link:
    """Whether a commit holds all that the workspace says of a model."""
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
