"""What a withdrawal changes for everybody else: the folds without a patient, and the stages that run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import catalog, shards
from glassbox.artifacts import split as artifact
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.split import FOLDS
from glassbox.errors import GlassboxError
from glassbox.splits.build import select
from glassbox.splits.labels import SplitError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import pandas as pd

    from glassbox.artifacts.catalog import Vocabulary
    from glassbox.params.document import Params
    from glassbox.params.splits import Split


class WithdrawalError(GlassboxError):
    """A withdrawal that cannot be; nothing was written."""


class Change(NamedTuple):
    """What becomes of a fold."""

    split: str
    fold: str
    images: int  #: Images of withdrawn patients that leave it.
    entered: list[str]  #: Other patients of whom images enter it.
    left: list[str]  #: Other patients of whom images leave it.
    redrawn: list[str]  #: Images of others that stay, and are shown another number of times.


class Consequences(NamedTuple):
    """What becomes of the splits of a source."""

    changes: list[Change]  #: One a fold that is not what it was.
    kept: list[Path]  #: Files of splits that stay as they are, to the byte.


def of_withdrawal(params: Params, source: str, withdrawn: Collection[str]) -> Consequences:
    """What becomes of the splits of a source without some patients, as against its catalog as it is now.

    A split that cannot be made with them either is left out. Where a dataset's shards are not at hand, all images
    count as readable.

    Raises:
        WithdrawalError: A split cannot be made without them: a fold or a class of it would be empty, for instance.
        ArtifactError: The catalog is missing or damaged.
    """
    rows, vocabulary = catalog.read(source, ["image_id", "patient_id", "findings", "sex", "official_split"])
    changes: list[Change] = []
    kept: list[Path] = []
    refused: list[SplitError] = []
    for name, split in params.splits.items():
        if split.source != source:
            continue
        readable = rows[~rows["image_id"].isin(_rejected(split.dataset))]
        before = _selected(readable, split, vocabulary, name)
        if isinstance(before, SplitError):
            continue
        after = _selected(readable[~readable["patient_id"].isin(withdrawn)], split, vocabulary, name)
        if isinstance(after, SplitError):
            refused.append(after)
            continue
        for fold in FOLDS:
            was, now = (side[side["fold"] == fold].reset_index(drop=True) for side in (before, after))
            if was.equals(now):
                kept.append(artifact.path(name, fold))
            else:
                changes.append(_change(name, fold, was, now, withdrawn))
            # They are of the training fold's images, however often each is shown.
            if fold == "train" and was["image_id"].equals(now["image_id"]):
                kept.append(artifact.statistics_path(name))
    if refused:
        raise WithdrawalError(
            "without these patients, " + "\n  and ".join(error.found for error in refused),
            refused[0].expected,
            f"change the split first, so that it can do without them: {refused[0].action}",
        )
    return Consequences(changes, kept)


def _rejected(dataset: str) -> list[str]:
    try:
        return shards.read_rejected(dataset)
    except ArtifactError:
        return []


def _selected(rows: pd.DataFrame, split: Split, vocabulary: Vocabulary, name: str) -> pd.DataFrame | SplitError:
    try:
        return select(rows, split, vocabulary, f"splits.{name}")
    except SplitError as error:
        return error


def _change(split: str, fold: str, was: pd.DataFrame, now: pd.DataFrame, withdrawn: Collection[str]) -> Change:
    theirs = was["patient_id"].isin(withdrawn)
    others, drawn = was[~theirs], now.set_index("image_id")["draws"]
    stay = others[others["image_id"].isin(drawn.index)]
    redrawn = stay.loc[stay["draws"].to_numpy() != drawn[stay["image_id"]].to_numpy(), "image_id"]
    return Change(
        split,
        fold,
        images=int(theirs.sum()),
        entered=_patients(now[~now["image_id"].isin(was["image_id"])]),
        left=_patients(others[~others["image_id"].isin(now["image_id"])]),
        redrawn=redrawn.tolist(),
    )


def _patients(rows: pd.DataFrame) -> list[str]:
    return sorted(rows["patient_id"].unique())


def rebuilt(first: Iterable[str], kept: Iterable[Path]) -> list[str]:
    """The stages that `dvc repro` runs again after some, in its order, by the files that each reads and writes.

    `dvc status` says what differs now, not what will follow from it, and DVC's graph leads from a split to every
    training on it: here a stage runs again if one of the files that it depends on may be another.

    Args:
        first: Names of the stages that run again for certain.
        kept: Outputs, and files in them, that stay as they are though their stage runs again.

    Raises:
        WithdrawalError: This is no DVC project, or DVC cannot lay out its stages.
    """
    # DVC takes a second to import.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    try:
        with Repo() as repo:
            root, planned = Path(repo.root_dir), plan_repro(repo.index.graph)
    except DvcException as error:
        raise WithdrawalError(
            f"DVC: {error}",
            "the root of a project whose dvc.yaml is whole",
            "change to the project's root; `glassbox doctor` says more",
        ) from None
    again, stay, names = set(first), {root / path for path in kept}, []
    changed: set[Path] = set()
    for stage in planned:
        reads = {Path(dep.fs_path) for dep in stage.deps} - stay
        if stage.addressing in again or any(_may_differ(path, changed) for path in reads):
            names.append(str(stage.addressing))
            changed |= {Path(out.fs_path) for out in stage.outs} - stay
    return names


def _may_differ(path: Path, changed: set[Path]) -> bool:
    """Whether a file or folder is changed, lies in what is, or holds some of it."""
    return not changed.isdisjoint((path, *path.parents)) or any(path in one.parents for one in changed)
