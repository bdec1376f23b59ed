"""The commit that holds what a revision says of a model, if one does."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from glassbox.lineage import revision as revisions
from glassbox.lineage.git import git
from glassbox.lineage.link import Link, Verdict, verified, wrong
from glassbox.lineage.lock import NAME, LineageError, Lock, parse
from glassbox.lineage.pipeline import NAME as PIPELINE
from glassbox.lineage.view import CODE
from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from glassbox.lineage.revision import Revision

#: What a training computes and what is measured of it: other bytes on another kind of processor, of which MLflow's
#: run has the hashes. All other stages give the same bytes everywhere.
_TRAINING = ("weights", "warm_start", "fine_tune", "predict", "evaluate")
#: How many files a message names.
_NAMED = 5
_COMMIT = "a commit that holds them"


class _Changes(NamedTuple):
    """What differs from a commit."""

    #: Parameters, code, and what every machine makes of the same.
    inputs: list[str]
    #: What training made, and what was measured of it.
    trained: list[str]


def link(revision: Revision, chain: Sequence[str], others: Sequence[str], model_md5: str, root: Path) -> Link:
    """The verdict on a revision: HEAD holds it, or another commit, an experiment of DVC's for example.

    Where the machine's kind alone can be the reason why none does, the verdict is that it is uncommitted; it is
    wrong where anything else differs.

    Args:
        revision: The workspace, or a commit.
        chain: The stages behind the model, and those that measured it.
        others: Stages that measured another model, or none.
        model_md5: By which other commits than HEAD are found.
        root: The project's folder.
    """
    if revision.commit is not None:
        return verified("commit", revision.commit)
    head = revisions.head(root)
    if head is None:
        return wrong("commit", "git has no commit", _COMMIT, "commit everything that git does not ignore")
    changes = _changes(revision, chain, others, head, root)
    for commit in [head, *(revisions.commits(root, model_md5) if any(changes) else [])]:
        if not any(changes if commit == head else _changes(revision, chain, others, commit, root)):
            return verified("commit", commit)
    if changes.inputs:
        return wrong("commit", _differ(changes.inputs + changes.trained, head), _COMMIT, "commit them")
    action = "commit them; until then MLflow's run has to say the same"
    return Link("commit", Verdict.UNCOMMITTED, _differ(changes.trained, head), _COMMIT, action)


def _differ(places: list[str], head: str) -> str:
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"{', '.join(places[:_NAMED])}{more} differ from commit {head[:10]}"


def _changes(revision: Revision, chain: Sequence[str], others: Sequence[str], commit: str, root: Path) -> _Changes:
    """What differs from a commit, file by file and, of dvc.lock, stage by stage.

    The files are hashed here: git itself can be told to overlook that one was changed.
    """
    changes, before = _Changes([], []), _lock(commit, root)
    places = dict.fromkeys([PIPELINE, str(PARAMS), *CODE], changes.inputs)
    for stage in chain:
        entry = revision.lock.stages[stage]
        changed = changes.trained if stage.partition("@")[0] in _TRAINING else changes.inputs
        if before is None or before.stages.get(stage) != entry:
            changed.append(f"{NAME} ({stage})")
        # What is not there is looked for by whoever needs it.
        kept = [out.path for out in entry.outs if revision.out(stage, out.path).is_in_git]
        places |= dict.fromkeys(filter(revision.present, kept), changed)
    for stage in others:
        # MLflow vouches for nothing of what was measured of another model.
        if (before.stages.get(stage) if before else None) != revision.lock.stages.get(stage):
            changes.inputs.append(f"{NAME} ({stage})")
    held = _held(commit, list(places), root)
    for place, changed in places.items():
        found = revision.present(place)
        names = found.keys() | {name for name in held if f"{name}/".startswith(f"{place}/")}
        changed.extend(name for name in sorted(names) if not _is(found.get(name), held.get(name)))
    return changes


def _held(commit: str, places: list[str], root: Path) -> dict[str, str]:
    """The files of a commit at some places, or in folders there, with the names that git has for their content."""
    listed = git(root, "ls-tree", "-rz", commit, "--", *places).split("\0")
    return {name: about.split()[-1] for about, _, name in (entry.partition("\t") for entry in listed) if name}


def _is(content: bytes | None, name: str | None) -> bool:
    """Whether git has this name for a content; 40 digits are SHA-1, 64 SHA-256."""
    if content is None or name is None:
        return False
    algorithm = "sha256" if len(name) == 64 else "sha1"
    return hashlib.new(algorithm, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == name


def _lock(commit: str, root: Path) -> Lock | None:
    try:
        return parse(revisions.lock_of(root, commit), f"commit {commit[:10]}")
    except LineageError:  # it is damaged, or not there before the first build
        return None
