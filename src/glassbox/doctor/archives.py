"""What is known of a source's archive before it is there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from glassbox.artifacts import archive, catalog
from glassbox.files import json_object
from glassbox.params.sources import ArchiveSource, KaggleSource, PhantomSource
from glassbox.sources import zip as zips
from glassbox.sources.errors import ArchiveError

if TYPE_CHECKING:
    from glassbox.params.sources import AnySource

#: Bytes and images of datasets of Kaggle, as it states them (the first rounded up): nobody asks it here.
_KAGGLE = {
    "nih-chest-xrays/data": (45_000_000_000, 112_120),
    "paultimothymooney/chest-xray-pneumonia": (2_463_365_435, 5_856),
}
_FILMS_OF_A_PATIENT = 3.6
_IMAGES = (".png", ".jpeg", ".jpg")


class Stock(NamedTuple):
    """What is known of an archive.

    Attributes:
        made: Whether it is at its place already, as the parameters want it.
        bytes: Its size, or None.
        images: Their number, or None.
        fault: Why it cannot come to its place.
    """

    made: bool
    bytes: int | None
    images: int | None
    fault: ArchiveError | None = None


def stock(settings: AnySource, source: str) -> Stock:
    """What is known of the archive of a source.

    A generated one has 3.6 films a patient, of at most a byte a pixel. One on disk has the size of its file, and
    the images among its members. One of Kaggle's has what its record says, else what is known of its name.
    """
    if isinstance(settings, PhantomSource):
        films = round(settings.patients * _FILMS_OF_A_PATIENT)
        known = _recorded(source, kind=settings.kind) and _patients(source) == settings.patients
        return Stock(bool(known) and _there(source), films * settings.size**2, films)
    if isinstance(settings, KaggleSource):
        recorded = _recorded(source, kind=settings.kind, ref=settings.ref, version=settings.version)
        size, images = _KAGGLE.get(settings.ref, (None, None))
        if recorded:
            size, images = recorded.get("bytes"), _images(recorded)
        fault = None if settings.version else _no_version(settings, source)
        return Stock(bool(recorded) and _there(source), size, images, fault)
    recorded = _recorded(source, kind=settings.kind, sha256=settings.sha256)
    if recorded and _there(source):
        return Stock(made=True, bytes=recorded.get("bytes"), images=_images(recorded))
    return _on_disk(settings, source)


def _on_disk(settings: ArchiveSource, source: str) -> Stock:
    try:
        members = zips.members(settings.path)
    except ArchiveError as error:
        action = f"{error.action}, or run `glassbox use PROFILE sources.{source}.path=WHERE_IT_IS`"
        fault = ArchiveError(error.found, error.expected, action)
        return Stock(made=False, bytes=None, images=None, fault=fault)
    images = sum(PurePosixPath(member.name).suffix.lower() in _IMAGES for member in members)
    return Stock(made=False, bytes=settings.path.stat().st_size, images=images)


def _no_version(settings: KaggleSource, source: str) -> ArchiveError:
    return ArchiveError(
        f"kaggle:{settings.ref} without a version, which is not fetched",
        "a version, so that the same files are fetched every time",
        f"write the one that https://www.kaggle.com/datasets/{settings.ref} shows as sources.{source}.version",
    )


def _recorded(source: str, **identity: object) -> dict[str, Any]:
    """The record of a source, if it is of this archive, else an empty one."""
    found = archive.recorded(archive.record_path(source), source)
    return found if identity.items() <= found.items() else {}


def _there(source: str) -> bool:
    place = archive.path(source)
    recorded = archive.recorded(archive.record_path(source), source)
    return place.is_file() and place.stat().st_size == recorded.get("bytes")


def _images(recorded: dict[str, Any]) -> int:
    files = recorded.get("files", [])
    return sum(entry["members"] for entry in files if entry["suffix"].lower() in _IMAGES)


def _patients(source: str) -> int | None:
    """How many patients the catalog of a source has."""
    return json_object(catalog.counts_path(source)).get("patients")
