"""An audit in words and numbers, as JSON, and as a table of images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from glassbox.files import atomic
from glassbox.lineage.link import Link, Verdict
from glassbox.lineage.lock import LineageError

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.lineage.audit import Audit
    from glassbox.lineage.difference import Difference
    from glassbox.lineage.record import Fold, Record

#: Whose films initial weights saw, by their kind.
_KINDS = {
    "none": "random",
    "pretraining": "pretrained on generated films",
    "imagenet": "of ImageNet's photographs",
    "file": "a file; what they were trained on is not known here",
}
_WRITERS = {".csv": "CSV", ".parquet": "Parquet"}


def text(audit: Audit) -> str:
    """The verdict on every link, what made the model, and the verdict on it."""
    told = [line for link in audit.links for line in _link(link)]
    if audit.record is not None:
        told += ["", *_record(audit.record)]
    return "\n".join([*told, "", f"{audit.subject.stage} of {audit.subject.revision.name}: {verdict(audit)}"])


def verdict(audit: Audit) -> str:
    """The verdict on a model in a sentence."""
    counts = {
        name: sum(link.verdict == name and (link.needed or name != Verdict.MISSING) for link in audit.links)
        for name in Verdict
    }
    excused = [link.name for link in audit.links if not link.needed and link.verdict == Verdict.MISSING]
    without = f"; without {', '.join(excused)}" if excused else ""
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    if counts[Verdict.ERASED]:
        return f"erased, no longer rebuildable ({said}{without})"
    if not audit.passed:
        return f"NOT proved ({said}{without})"
    waived = " as MLflow's run confirms, though in no commit yet" if counts[Verdict.UNCOMMITTED] else ""
    return f"proved{waived} ({said}{without})"


def as_json(audit: Audit) -> str:
    """All of it as one JSON document; `record` is null where some of what made the model cannot be read."""
    record = audit.record.model_dump(mode="json") if audit.record else None
    return json.dumps(
        {
            "passed": audit.passed,
            "verdict": verdict(audit),
            "stage": audit.subject.stage,
            "revision": audit.subject.revision.commit,
            "links": [link._asdict() for link in audit.links],
            "record": record,
        },
        indent=2,
    )


def differences(found: list[Difference]) -> str:
    """What differs between two models, a line each."""
    if not found:
        return "Nothing differs: images, parameters, code, weights, archive, packages and machine are the same."
    return "\n".join(f"{one.kind:<11}{one.name}: {one.first or '-'} -> {one.second or '-'}" for one in found)


def differences_as_json(found: list[Difference]) -> str:
    """The same as one JSON document, a list."""
    return json.dumps([one._asdict() for one in found], indent=2)


def write_images(record: Record, path: Path) -> None:
    """Writes one row an image and fold, as `record.COLUMNS`: CSV or Parquet, by the suffix of the path.

    Raises:
        LineageError: It has another suffix, or cannot be written.
    """
    if path.suffix not in _WRITERS:
        raise LineageError(
            f"--images {path}: {path.suffix or 'no suffix'}", f"a file named {' or '.join(_WRITERS)}", "rename it"
        )
    try:
        with atomic(path) as temporary:
            if path.suffix == ".csv":
                record.images.to_csv(temporary, index=False, lineterminator="\n")
            else:
                record.images.to_parquet(temporary, index=False)
    except OSError as error:
        raise LineageError(
            f"--images {path} cannot be written: {error.strerror}", "a place for a file", "name another one"
        ) from None


def _link(link: Link) -> list[str]:
    told = [f"{link.verdict:<12}{link.name}: {link.found}"]
    if link.verdict != Verdict.VERIFIED:
        told += [f"{'':<12}  expected: {link.expected}", f"{'':<12}  next: {link.action}"]
    return told


def _record(record: Record) -> list[str]:
    """A record in words and numbers."""
    (source,) = record.archives
    provenance = " ".join(
        filter(None, [source.kind, source.ref, f"version {source.version}" if source.version else ""])
    )
    shared = [f"{leak.shared:,} {leak.what} in {leak.folds}" for leak in record.leaks if leak.shared]
    return [
        f"{record.experiment}: {record.title}",
        f"  model    sha256 {record.model.sha256}",
        f"  recipe   fingerprint {record.fingerprint}",
        f"  weights  {record.weights.name} ({_KINDS[record.weights.kind]}), sha256 {record.weights.sha256}",
        f"  archive  {source.source} ({provenance}), {source.members:,} files, sha256 {source.sha256}",
        *(f"  {line}" for fold in record.folds for line in _fold(fold)),
        f"  folds share {', '.join(shared) or 'no patient, no image and no identical file'}",
        f"  {record.rejected:,} images could not be read; {record.withdrawn:,} were withdrawn",
        f"  machine  {', '.join(f'{name} {value}' for name, value in record.machine.items())}",
    ]


def _fold(fold: Fold) -> list[str]:
    """A fold, and, of the training fold, what the network was shown of it."""
    classes = ", ".join(f"{name} {images:,}" for name, images in fold.classes.items())
    counted = f"{fold.patients:,} patients, {fold.images:,} images, {fold.draws:,} draws a pass"
    seen = f"{fold.shown_patients:,} patients, {fold.shown_images:,} images"
    told = [f"{fold.fold:<10} {counted}: {classes}"]
    if fold.fold == "train":
        told.append(f"{'shown':<10} {seen}, {fold.shown:,} times in all epochs of the training")
    return told
