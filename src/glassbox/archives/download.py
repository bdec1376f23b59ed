"""A source's archive as one file at its place: generated, copied from a zip of the user's, or fetched from Kaggle.

A kill at any line costs no second transfer: what came from Kaggle is a part that the next run goes on with, or a
zip whose record was written before the zip got its name.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from glassbox.archives import transfer
from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.archives.kaggle import Dataset
from glassbox.archives.transfer import RETRIES, Part, Retries
from glassbox.artifacts import archive, members
from glassbox.files import atomic, fingerprint, sha256_file
from glassbox.params.sources import ArchiveSource, KaggleSource
from glassbox.paths import WORK
from glassbox.phantoms import archive as phantom

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from glassbox.artifacts.members import Member
    from glassbox.params.sources import AnySource

_WORK = WORK / "download"
_BLOCK = 4 * 1024 * 1024
#: What a record and a source have in common where they speak of the same files of Kaggle's.
_IDENTITY = {"kind", "ref", "version"}
#: Linux's request to share the blocks of another file (reflink); from linux/fs.h.
_FICLONE = 0x40049409


def download(settings: AnySource, source: str, retries: Retries = RETRIES) -> None:
    """Puts the zip of a source, the index of its members and its record in place.

    A zip that is there already with the SHA-256 that the parameters or its record promise is neither copied nor
    fetched again, and read again only where its index is gone. Generated ones are always drawn anew.

    Raises:
        ArchiveError: The zip is missing, is not the promised one, is damaged, or cannot be fetched or written.
            What was at its place stays there.
    """
    place = archive.path(source)
    provenance: dict[str, Any] = {"kind": settings.kind}
    read: list[Member] = []
    if isinstance(settings, KaggleSource):
        sha256, read, provenance = _from_kaggle(settings, source, retries)
    elif isinstance(settings, ArchiveSource):
        sha256 = settings.sha256
        if not _kept(place, sha256, f"copying {settings.path}"):
            _copy(settings, source, place)
    else:
        phantom.write(settings, place)
        sha256 = sha256_file(place)
    read = read or members.known(source, sha256) or zips.verify(place, zips.members(place), label=str(place))
    members.write(source, read, sha256)
    archive.write(source, archive.describe(place, sha256, read, **provenance))
    # Parts of other versions, too.
    for folder in list(_WORK.glob(f"{glob.escape(source)}-{'[0-9a-f]' * 12}")):
        shutil.rmtree(folder)


def _kept(place: Path, sha256: str, otherwise: str) -> bool:
    """Whether the promised zip is there. Says that it is, or that another is, and what is done then."""
    if not place.is_file():
        return False
    (found,) = checksums(place, "sha256")
    if found == sha256:
        print(f"{place}: verified, sha256 {found}", flush=True)
        return True
    print(f"{place} has sha256 {found}, not {sha256}: {otherwise}", file=sys.stderr)
    return False


def checksums(path: Path, *algorithms: str, copy: BinaryIO | None = None) -> list[str]:
    """The sums of a file in hexadecimal, by names that `hashlib` knows; it is read once, and copied meanwhile."""
    sums = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
    size, label = path.stat().st_size, f"reading {path}"
    with path.open("rb") as file, tqdm.wrapattr(file, "read", total=size, desc=label, disable=None) as stream:
        while block := stream.read(_BLOCK):
            for running in sums:
                running.update(block)
            if copy:
                copy.write(block)
    return [running.hexdigest() for running in sums]


def _copy(settings: ArchiveSource, source: str, target: Path) -> None:
    """Copies a user's zip, sharing its blocks where the file system can.

    Never a hard link: DVC makes what it tracks read-only, and would do so to the user's own file.
    """
    if not settings.path.is_file():
        raise ArchiveError(
            f"sources.{source}: there is no file {settings.path}",
            "the zip that the source names",
            f"put it there, or run `glassbox use PROFILE sources.{source}.path=WHERE_IT_IS`",
        )
    # Before gigabytes are copied.
    zips.members(settings.path)
    try:
        with atomic(target) as temporary:
            if (found := clone(settings.path, temporary)) != settings.sha256:
                raise ArchiveError(
                    f"sources.{source}: {settings.path} has sha256 {found}",
                    f"sha256 {settings.sha256}",
                    "use the archive that the parameters name, or, if this one is meant and nothing writes to it, "
                    f"set sources.{source}.sha256 to what was found",
                )
    except OSError as error:
        raise ArchiveError(
            f"sources.{source}: {settings.path} cannot be copied to {target}: {error.strerror}",
            "a file that can be read, and room for a copy of it",
            "see to that and run `dvc repro` again",
        ) from None


def clone(path: Path, target: Path) -> str:
    """Copies a file; returns the SHA-256 of the copy, which is read or written once."""
    with path.open("rb") as original, target.open("wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())
        except OSError:  # another file system, or one without reflinks
            if path.stat().st_size > shutil.disk_usage(target.parent).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            return checksums(path, "sha256", copy=clone)[0]
    return checksums(target, "sha256")[0]


def recorded(settings: KaggleSource, source: str) -> dict[str, Any]:
    """The record of a dataset at its version; an empty one where there is none.

    Raises:
        ArchiveError: It is damaged. Nobody would see that Kaggle has other files under this version by now.
    """
    place, found = archive.record_path(source), archive.recorded(source)
    if place.exists() and not found:
        raise ArchiveError(
            f"{place} is damaged",
            "the record as the download stage wrote it, against which a download is held",
            f"run `git checkout {place}`, or delete it to take what Kaggle has under this version today",
        )
    return found if settings.model_dump(include=_IDENTITY).items() <= found.items() else {}


def _from_kaggle(
    settings: KaggleSource, source: str, retries: Retries
) -> tuple[str, list[Member], dict[str, Any]]:
    """Puts the verified zip of a dataset in its place.

    Returns:
        Its SHA-256, its members where it was read (none of a zip that was kept), and where it came from: kind,
        ref, version and licence.
    """
    identity = settings.model_dump(include=_IDENTITY)
    place, known = archive.path(source), recorded(settings, source)
    if known and _kept(place, known["sha256"], "fetching it anew"):
        return known["sha256"], [], identity | {"licence": known["licence"]}
    dataset = Dataset(settings, source, retries)
    provenance = identity | {"licence": dataset.licence()}
    part = Part(_WORK / f"{source}-{fingerprint(identity)[:12]}")
    transfer.complete(dataset.connect, part, dataset.name, retries)
    sha256, read = _verified(part, dataset.name)
    made = archive.describe(part.path, sha256, read, **provenance)
    _compare(made, known, dataset.name, source)
    archive.write(source, made)
    _move(part.path, place)
    return sha256, read, provenance


def _verified(part: Part, what: str) -> tuple[str, list[Member]]:
    """The SHA-256 of what was fetched, and its members. What is wrong is removed: no later run goes on with it."""
    md5, sha256 = checksums(part.path, "md5", "sha256")
    if part.promise.md5 not in (None, md5):
        damage, expected = f"it has md5 {md5}", f"md5 {part.promise.md5}, as the storage host promised"
    else:
        try:
            return sha256, zips.verify(part.path, zips.members(part.path), label=f"verifying {part.path}")
        except ArchiveError as error:
            damage, expected = error.found, error.expected
        if part.promise.md5:
            raise ArchiveError(
                f"{what}: {damage}; the md5 is right, so Kaggle has it like this",
                expected,
                "tell its owner on Kaggle; another version may be whole",
            )
    part.drop()
    raise ArchiveError(
        f"{what}: what was fetched is damaged and was removed: {damage}",
        expected,
        "run `dvc repro` again, which fetches it from the start",
    )


def _compare(made: dict[str, Any], known: dict[str, Any], what: str, source: str) -> None:
    """Holds a fetched zip against the record of an earlier one of the same version."""
    if not known or known["sha256"] == made["sha256"]:
        return
    place = archive.record_path(source)
    if known["members_sha256"] != made["members_sha256"]:
        raise ArchiveError(
            f"{what}: Kaggle now has other files under this version, {made['members']:,} with the digest "
            f"{made['members_sha256']}",
            f"{known['members']:,} with the digest {known['members_sha256']}, as {place} says",
            "to stay with those, bring back the old zip from a copy of yours; to go on with the new ones, of "
            f"which no old model can be rebuilt, delete {place} and run `dvc repro` again: what was fetched is "
            "kept",
        )
    print(
        f"{what}: Kaggle has packed the same files anew: sha256 {made['sha256']}, not {known['sha256']}. "
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
        raise ArchiveError(
            f"{target} cannot be written: {error.strerror}",
            f"room for it, and a folder that can be written, for {part}",
            "see to that and run `dvc repro` again; nothing is fetched twice",
        ) from None
