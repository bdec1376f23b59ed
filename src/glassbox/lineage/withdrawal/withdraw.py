"""Taking patients out of a source: what is built next is what it would be had they never been there."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.artifacts import archive, catalog, code
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import locked, write_text
from glassbox.lineage.lock import LineageError
from glassbox.lineage.trace import answer
from glassbox.lineage.trace.trace import trace
from glassbox.lineage.withdrawal import consequences
from glassbox.lineage.withdrawal.consequences import WithdrawalError
from glassbox.lineage.withdrawal.edited import edited
from glassbox.params import erased, withdrawn
from glassbox.params.document import checked
from glassbox.params.read import values
from glassbox.paths import PARAMS, WORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.lineage.withdrawal.consequences import Change

#: Of params.yaml.
SECTION = "withdrawn"
#: Where else films stay.
_ALSO = "in DVC's cache and in earlier revisions (docs/withdraw.md)"
#: Ids that a line names, of however many there are.
_NAMED = 10


def withdraw(source: str, patients: Sequence[str]) -> list[str]:
    """Writes patients to the list of a source, and the lists to params.yaml, of which all else stays as it is.

    The list comes first: killed in between, the stage `code` refuses params.yaml until it follows.

    Args:
        source: Key of the source.
        patients: Their ids, of which some may be withdrawn, or erased, already.

    Returns:
        Lines that say who was withdrawn, which models saw them, what becomes of the folds, and what `dvc repro`
        will run.

    Raises:
        ParamsError: params.yaml, or a list, is wrong.
        WithdrawalError: There is no such source or patient, its catalog is not at hand, or a split cannot do
            without them. As with any other error nothing was written.
    """
    with locked(WORK / "locks" / "withdraw.lock", "glassbox withdraw"):
        params = checked(values(), str(PARAMS))
        if source not in params.sources:
            raise WithdrawalError(
                f"{PARAMS} has no source {source!r}",
                f"one of: {', '.join(params.sources) or 'none'}",
                "name one of them, or compose a profile that has it with `glassbox use PROFILE`",
            )
        before = withdrawn.read(source)
        gone = erased.among(source, patients, before)
        named = sorted(set(patients) - gone)
        _refuse_unknown(source, named, before)
        lists = withdrawn.section(params.sources) | {source: sorted({*before, *named})}
        changes, kept = consequences.of_withdrawal(params, source, lists[source])
        seen = [line for patient in named for line in _seen(source, patient)]
        # The stage `code` checks params.yaml; what it writes is of no parameter.
        stages = consequences.rebuilt([code.STAGE, f"catalog@{source}"], [*kept, code.path("catalog").parent])
        text = edited(PARAMS.read_text(encoding="utf-8"), [SECTION], lists)
        withdrawn.write(source, lists[source])
        write_text(PARAMS, text)
    new = [patient for patient in named if patient not in before]
    return [
        f"withdrawn from {source}: {', '.join(new) or 'nobody new'}",
        *([f"already withdrawn: {', '.join(old)}"] if (old := [one for one in named if one in before]) else []),
        *([f"already erased: {', '.join(sorted(gone))}"] if gone else []),
        f"{withdrawn.path(source)} has {len(lists[source]):,} patients and {PARAMS} follows it: commit both",
        *seen,
        *map(_say_change, changes),
        f"`dvc repro` will run, because of it: {', '.join(stages)}",
        *([f"their films stay in {archive.path(source)}, {_ALSO}"] if named else []),
    ]


def _refuse_unknown(source: str, patients: Sequence[str], withdrawn_before: Sequence[str]) -> None:
    try:
        rows, _ = catalog.read(source, ["patient_id"])
    except ArtifactError as error:
        place = catalog.path(source)
        raise WithdrawalError(
            error.found,
            f"the catalog of {source}, which has its patients",
            f"bring it with `dvc pull {place}`, or make it with `dvc repro catalog@{source}`",
        ) from None
    # Who is withdrawn already is in no catalog that was made since.
    known = sorted({*rows["patient_id"], *withdrawn_before})
    if unknown := [patient for patient in patients if patient not in known]:
        known = [one for one in known if not erased.is_digest(one)]
        near = list(dict.fromkeys(one for patient in unknown for one in get_close_matches(patient, known)))
        others = sum(map(erased.is_digest, withdrawn_before))
        hidden = f", or they are of the {others:,} who were erased: {erased.KEY}, which is not there, would tell"
        raise WithdrawalError(
            f"{source} has no patient {', '.join(map(repr, unknown))}",
            f"patients of its catalog, {'the nearest are' if near else 'such as'} {_some(near or known)}",
            f"correct the id{hidden if others and not erased.read_key() else ''}",
        )


def _seen(source: str, patient: str) -> list[str]:
    """Which models on record saw a patient."""
    try:
        found = trace(Path.cwd(), patient=patient, source=source)
    except LineageError as error:
        return [f"patient {patient}: no model on record is known to have seen them: {error.found}"]
    return [*answer.lines(found), *([answer.unread(found)] if found.unread else [])]


def _say_change(change: Change) -> str:
    said = [f"{_images(change.images)} of theirs leave"]
    said += [f"another patient enters: {patient}" for patient in change.entered]
    said += [f"another patient leaves: {patient}" for patient in change.left]
    if change.redrawn:
        said.append(f"shown more or less often, {_images(len(change.redrawn))}: {_some(change.redrawn)}")
    return f"split {change.split}, {change.fold}: {'; '.join(said)}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else "")
