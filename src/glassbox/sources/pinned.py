"""The archive of a pinned version of a Kaggle dataset: kept where it is the right one, else fetched and verified.

A kill at any line costs no second transfer of a verified zip: before it gets its name, its record lies in the work
folder, and a later run finds either the whole part or a zip that the record describes.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import archive
from glassbox.files import atomic, fingerprint
from glassbox.paths import WORK
from glassbox.sources import transfer
from glassbox.sources import zip as zips
from glassbox.sources.checksums import checksums
from glassbox.sources.errors import ArchiveError
from glassbox.sources.kaggle import Dataset, KaggleError
from glassbox.sources.transfer import Part, TransferError

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.artifacts.members import Member
    from glassbox.params.sources import KaggleSource
    from glassbox.sources.patience import Patience

_WORK = WORK / "download"
_RECORD = "record.json"


def fetch(settings: KaggleSource, source: str, patience: Patience) -> tuple[str, list[Member], dict[str, Any]]:
    """Puts the verified zip of a source in its place.

    Returns:
        Its SHA-256, its members where it was read (none of a zip that was kept), and where it came from: kind,
        ref, version and licence.

    Raises:
        KaggleError: Kaggle does not hand it out, or hands out a damaged one, or one with other files than were
            recorded of this version. What was at its place stays there.
        TransferError: It cannot be written.
        GaveUpError: Kaggle cannot be reached.
    """
    identity: dict[str, Any] = {"kind": settings.kind, "ref": settings.ref, "version": settings.version}
    work = _WORK / f"{source}-{fingerprint(identity)[:12]}"
    recorded = _matching(archive.record_path(source), source, identity)
    known = [entry for entry in (recorded, _matching(work / _RECORD, source, identity)) if entry]
    if settings.version and (kept := _kept(source, known)):
        return kept["sha256"], [], identity | {"licence": kept["licence"]}
    dataset = Dataset(settings, source, patience)
    provenance = identity | {"licence": _licence(dataset, settings, source)}
    part = Part(work)
    transfer.fetch(dataset.connect, part, dataset.name, patience)
    sha256, members = _verified(part, dataset.name)
    made = archive.describe(part.path, sha256, members, **provenance)
    _compare(made, recorded, dataset.name, source)
    archive.write(work / _RECORD, source, made)
    _move(part.path, archive.path(source))
    return sha256, members, provenance


def tidy(source: str) -> None:
    """Removes the work folders of a source, those of other versions too, once its record is written."""
    own = re.compile(re.escape(source) + "-[0-9a-f]{12}")
    for folder in sorted(_WORK.glob("*")):
        if own.fullmatch(folder.name):
            shutil.rmtree(folder)


def _matching(path: Path, source: str, identity: dict[str, Any]) -> dict[str, Any]:
    """A record, if it is one of this dataset at this version, else an empty one."""
    found = archive.recorded(path, source)
    return found if identity.items() <= found.items() and {"licence", "members_sha256"} <= found.keys() else {}


def _kept(source: str, known: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of the zip that is there, if it is the one that a record describes, else an empty one."""
    place = archive.path(source)
    if not place.is_file() or not known:
        return {}
    difference = f"{(size := place.stat().st_size):,} bytes"
    if alike := [entry for entry in known if entry.get("bytes") == size]:
        (sha256,) = checksums(place, "sha256")
        for entry in alike:
            if entry.get("sha256") == sha256:
                print(f"{place}: verified, sha256 {sha256}", flush=True)
                return entry
        difference = f"sha256 {sha256}"
    print(
        f"{place} has {difference}, unlike what {archive.record_path(source)} says: fetching it anew",
        file=sys.stderr,
    )
    return {}


def _licence(dataset: Dataset, settings: KaggleSource, source: str) -> str:
    """The dataset's licence, once it is clear that a version is pinned and there."""
    about = dataset.about()
    newest = f"{about.newest or 'N'} is the newest today"
    if settings.version is None:
        raise KaggleError(
            f"{dataset.name}: no version is given",
            f"one, so that the same files are fetched every time; {newest}",
            f"write `version: {about.newest or 'N'}` under sources.{source} in params.yaml, "
            "and in the file of conf/source/ that it is composed from",
        )
    if settings.version > about.newest > 0:
        raise KaggleError(
            f"{dataset.name}: there is no such version",
            f"one that is there; {newest}",
            f"correct sources.{source}.version",
        )
    return about.licence


def _verified(part: Part, what: str) -> tuple[str, list[Member]]:
    """Reads all that was fetched; what is proven wrong is removed, so that no later run goes on with it.

    Returns:
        The SHA-256, and the members, each with its own.
    """
    promised = part.promise.md5 if part.promise else None
    md5, sha256 = checksums(part.path, "md5", "sha256")
    if promised not in (None, md5):
        damage, expected = f"it has md5 {md5}", f"md5 {promised}, as the storage host promised"
    else:
        try:
            members = zips.verify(part.path, zips.members(part.path), label=f"verifying {part.path}")
        except ArchiveError as error:
            damage, expected = error.found, error.expected
        else:
            return sha256, members
        if promised:
            raise KaggleError(
                f"{what}: {damage}; the md5 is right, so Kaggle has it like this",
                expected,
                "tell its owner on Kaggle; another version may be whole",
            )
    part.drop()
    raise KaggleError(
        f"{what}: what was fetched is damaged and was removed: {damage}",
        expected,
        "run `dvc repro` again, which fetches it from the start",
    )


def _compare(made: dict[str, Any], recorded: dict[str, Any], what: str, source: str) -> None:
    """Holds a fetched zip against the record of an earlier one of the same version."""
    place = archive.record_path(source)
    if not recorded or recorded.get("sha256") == made["sha256"]:
        return
    if recorded.get("members_sha256") != made["members_sha256"]:
        raise KaggleError(
            f"{what}: Kaggle now has other files under this version, {made['members']:,} with the digest "
            f"{made['members_sha256']}",
            f"{recorded.get('members', 0):,} with the digest {recorded.get('members_sha256')}, as {place} says",
            "to stay with those, bring back the old zip from a copy of yours; to go on with the new ones, of "
            f"which no old model can be rebuilt, delete {place} and run `dvc repro` again: what was fetched is "
            "kept",
        )
    print(
        f"{what}: Kaggle has packed the same files anew: sha256 {made['sha256']}, not {recorded.get('sha256')}. "
        f"Every member is the same, and so is every image; commit {place} as it is now",
        file=sys.stderr,
    )


def _move(part: Path, target: Path) -> None:
    """Gives the part its name, in one step where both lie on one file system."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic(target) as temporary:
                shutil.copyfile(part, temporary)
    except OSError as error:
        raise TransferError(
            f"{target} cannot be written: {error.strerror}",
            f"room for it, and a folder that can be written, for {part}",
            "see to that and run `dvc repro` again; nothing is fetched twice",
        ) from None
