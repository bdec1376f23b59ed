"""The vault: the patients' leaves and salts, one file a parcel, which only its owner may read.

It lies outside git, DVC and the parcels, and outlives `work/`: without it no patient can be disclosed, and with it
every patient can. To forget a patient is to remove one line from each file.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.errors import GlassboxError
from glassbox.files import atomic
from glassbox.lineage.parcel.patients import Salted
from glassbox.lineage.parcel.verify import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

#: Where the vault of a project lies. (Every stage reads `glassbox.paths`: there it would retrain all models.)
SECRETS = Path("secrets")


class VaultError(GlassboxError):
    """What the vault has of a parcel is missing or damaged, or lacks a patient."""


def path(folder: Path, root: str) -> Path:
    """Where the leaves and salts of the parcel with a root lie."""
    return folder / f"{root}.jsonl"


def write(folder: Path, root: str, kept: Iterable[Salted]) -> None:
    """Writes the leaves and salts of a parcel, one line a patient."""
    _replace(path(folder, root), (_line(each) for each in kept))


def read(folder: Path, root: str, patient_ids: Sequence[str]) -> dict[str, Salted]:
    """The leaves and salts of some patients.

    Raises:
        VaultError: The file is missing or damaged, or does not have one of them.
    """
    place = path(folder, root)
    found = dict(_parsed(line, place) for line in _lines(place) if _is_of(line, patient_ids))
    if missing := [patient for patient in patient_ids if patient not in found]:
        raise VaultError(
            f"{place} has no patient {', '.join(missing)}",
            "patients whose images the model saw or was tested on, and who were not forgotten",
            "check the ids with `glassbox trace`",
        )
    return found


def forget(folder: Path, patient_ids: Sequence[str], files: Collection[str] | None = None) -> list[Path]:
    """Removes patients from what is kept of every parcel; the files that had one of them.

    Args:
        folder: The vault.
        patient_ids: Who.
        files: SHA-256 of image files: only where one of these is among a patient's, since one id may stand for
            others in another source.

    What was handed out still verifies, and nobody can show any more that these patients are in it. A proof that
    was disclosed before stays valid, and a file system or a backup may still have the old file.
    """
    changed = []
    for place in sorted(folder.glob("*.jsonl")):
        lines = _lines(place)
        others = [line for line in lines if not (_is_of(line, patient_ids) and _has(line, files))]
        if len(others) < len(lines):
            _replace(place, others)
            changed.append(place)
    return changed


def _replace(place: Path, lines: Iterable[bytes]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic(place) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(lines)


def _line(kept: Salted) -> bytes:
    return canonical({"leaf": kept.leaf, "salt": base64.b64encode(kept.salt).decode()}) + b"\n"


def _lines(place: Path) -> list[bytes]:
    try:
        return place.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise _refusal(f"{place} cannot be read: {error.strerror}") from None


def _is_of(line: bytes, patient_ids: Sequence[str]) -> bool:
    """Whether a line is of one of some patients; to look into each of 30,000 lines takes seconds."""
    return any(b',"patient_id":%b},' % canonical(patient) in line for patient in patient_ids)


def _has(line: bytes, files: Collection[str] | None) -> bool:
    """Whether a line has one of some image files; where none are given, it has."""
    return files is None or any(b'"source_sha256":"%b"' % sha256.encode() in line for sha256 in files)


def _parsed(line: bytes, place: Path) -> tuple[str, Salted]:
    """The patient of a line, with leaf and salt; whether these are the right ones, the digest in a parcel says."""
    try:
        entry = json.loads(line)
        leaf, salt = entry["leaf"], base64.b64decode(entry["salt"], validate=True)
        return str(leaf["patient_id"]), Salted(leaf, salt)
    except (ValueError, TypeError, LookupError, RecursionError):
        raise damaged(place) from None


def damaged(place: Path) -> VaultError:
    """The refusal of a file that is not what `write` wrote."""
    return _refusal(f"{place} is damaged")


def _refusal(found: str) -> VaultError:
    wanted = "the leaves and salts of a parcel, as they were written when it was exported"
    return VaultError(found, wanted, "restore the file from a backup")
