"""What differs between two models: data, parameters, code, weights, packages and machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.code.normal_form import definitions
from glassbox.lineage.lock import LineageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from glassbox.lineage.audit import Audit
    from glassbox.lineage.record import Record
    from glassbox.lineage.revision import Revision

#: How many images or functions a line names.
_NAMED = 3


class Difference(NamedTuple):
    """One thing that differs from one model to another."""

    #: `images`, `parameter`, `code`, `weights`, `package`, `machine` or `archive`.
    kind: str
    name: str
    #: What the first model has, and the second; empty where it has nothing.
    first: str
    second: str


def differences(first: Audit, second: Audit) -> list[Difference]:
    """What differs from one model to another, as their audits found it; nothing where nothing does.

    Raises:
        LineageError: Of one of them, some of what made it cannot be read.
    """
    one, other = _record(first), _record(second)
    return [
        *_images(one.images, other.images),
        *_pairs("parameter", one.params, other.params),
        *_code(first.subject.revision, second.subject.revision, one, other),
        *_pairs("weights", one.weights.model_dump(), other.weights.model_dump()),
        *_pairs("archive", _archives(one), _archives(other)),
        *_pairs("package", one.packages, other.packages),
        *_pairs("machine", one.machine, other.machine),
    ]


def _record(audit: Audit) -> Record:
    if audit.record is None:
        name = f"{audit.subject.stage} of {audit.subject.revision.name}"
        raise LineageError(
            f"{name}: some of what made it cannot be read", "a model whose data are at hand", "audit it by itself"
        )
    return audit.record


def _pairs(kind: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(kind, name, str(one.get(name, "")), str(other.get(name, "")))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


def _archives(record: Record) -> dict[str, str]:
    return {archive.source: archive.sha256 for archive in record.archives}


def _images(one: pd.DataFrame, other: pd.DataFrame) -> list[Difference]:
    """Images that one of them lacks, that are in another fold, are drawn otherwise, or hold other pixels."""
    both = one.merge(other, on="image_id", how="outer", suffixes=("_first", "_second"), indicator=True)
    there = both["_merge"] == "both"
    kinds = {
        "lost": both["_merge"] == "left_only",
        "gained": both["_merge"] == "right_only",
        "in another fold": there & (both["fold_first"] != both["fold_second"]),
        "drawn otherwise": there
        & (both["fold_first"] == both["fold_second"])
        & (both["draws_first"] != both["draws_second"]),
        "of other pixels": there & (both["pixels_sha256_first"] != both["pixels_sha256_second"]),
    }
    found = []
    for kind, chosen in kinds.items():
        rows = both[chosen]
        if len(rows):
            sides = [_folds(rows[f"fold_{side}"]) for side in ("first", "second")]
            found.append(
                Difference("images", f"{len(rows):,} {kind}: {_first(rows['image_id'].tolist())}", *sides)
            )
    return found


def _folds(folds: pd.Series) -> str:
    counts = folds.dropna().value_counts(sort=False)
    return ", ".join(f"{fold} {count:,}" for fold, count in counts.items())


def _code(first: Revision, second: Revision, one: Record, other: Record) -> list[Difference]:
    """Modules whose digests differ, and which of their functions and classes do."""
    digests = [
        {path: digest for modules in record.code.values() for path, digest in modules.items()}
        for record in (one, other)
    ]
    found = []
    for difference in _pairs("code", *digests):
        path = difference.name
        held = [
            definitions(revision.content(path)) if path in known and path.endswith(".py") else {}
            for revision, known in zip((first, second), digests, strict=True)
        ]
        changed = [entry.name for entry in _pairs("code", *held)]
        sides = (", ".join(name for name in changed if name in side) for side in held)
        found.append(Difference("code", path, *sides))
    return found


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
