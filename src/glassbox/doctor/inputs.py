"""What comes from elsewhere: archives, Kaggle's credentials, initial weights."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from glassbox.archives import download, kaggle
from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.artifacts import archive as archives
from glassbox.artifacts import weights as initial
from glassbox.doctor.finding import Problem, size
from glassbox.params.sources import KaggleSource, PhantomSource
from glassbox.params.weights import FileWeights, ImagenetWeights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glassbox.params.document import Params
    from glassbox.params.sources import AnySource, ArchiveSource

#: Bytes and images of datasets of Kaggle, as it states them (the first rounded up): nobody asks it here.
_KAGGLE = {
    "nih-chest-xrays/data": (45_000_000_000, 112_120),
    "paultimothymooney/chest-xray-pneumonia": (2_463_365_435, 5_856),
}
_FILMS_OF_A_PATIENT = 3.6
_IMAGES = (".png", ".jpeg", ".jpg")


class Archive(NamedTuple):
    """What is known of a source's archive: its size and the number of its images, if anything.

    `made` is one that is at its place already, as the parameters want it; a generated one is always made anew.
    """

    bytes: int | None
    images: int | None
    made: bool = False


def archive(settings: AnySource, source: str) -> tuple[str, Archive]:
    """Where the archive of a source comes from, and what is known of it.

    A generated one has 3.6 films a patient, of at most a byte a pixel.
    """
    if isinstance(settings, PhantomSource):
        films = round(settings.patients * _FILMS_OF_A_PATIENT)
        return f"generated here, about {films:,} films", Archive(films * settings.size**2, films)
    if isinstance(settings, KaggleSource):
        record, known = download.recorded(settings, source), Archive(*_KAGGLE.get(settings.ref, (None, None)))
    else:
        record, known = archives.recorded(source), Archive(None, None)
        record = record if record.get("sha256") == settings.sha256 else {}
    if record:
        place = archives.path(source)
        images = sum(entry["members"] for entry in record["files"] if entry["suffix"].lower() in _IMAGES)
        known = Archive(record["bytes"], images, place.is_file() and place.stat().st_size == record["bytes"])
        if known.made:
            return f"{place} is there", known
    if not isinstance(settings, KaggleSource):
        return _to_copy(settings, source)
    if settings.version is None:
        found = f"kaggle:{settings.ref} without a version, which is not fetched"
        page = f"https://www.kaggle.com/datasets/{settings.ref}"
        raise Problem(found, f"write the one that {page} shows as sources.{source}.version")
    bulk = "unknown size" if known.bytes is None else size(known.bytes)
    return f"to be fetched: kaggle:{settings.ref} version {settings.version}, {bulk}", known


def _to_copy(settings: ArchiveSource, source: str) -> tuple[str, Archive]:
    try:
        names = [PurePosixPath(member.name) for member in zips.members(settings.path)]
    except ArchiveError as error:
        action = f"{error.action}, or run `glassbox use PROFILE sources.{source}.path=WHERE_IT_IS`"
        raise Problem(error.found, action) from None
    bulk, images = settings.path.stat().st_size, sum(name.suffix.lower() in _IMAGES for name in names)
    return f"{settings.path}: {size(bulk)}, {images:,} images", Archive(bulk, images)


def credentials(params: Params, archives: Mapping[str, Archive]) -> str:
    """Whether something must be fetched from Kaggle, and with which credentials; Kaggle is not asked."""
    sources = [key for key, source in params.sources.items() if isinstance(source, KaggleSource)]
    lacking = [key for key in sources if key not in archives or not archives[key].made]
    if not lacking:
        return "not needed: nothing must be fetched"
    if ways := kaggle.credentials():
        return ways[0]
    action = "make a token at https://www.kaggle.com/settings/api and set KAGGLE_API_TOKEN to it"
    raise Problem(f"none, and {', '.join(lacking)} must be fetched", action)


def weights(settings: FileWeights | ImagenetWeights, key: str) -> str:
    """Whether initial weights that are not made here are there."""
    if (made := initial.folder(key) / initial.FILE).is_file():
        return f"{made} is there"
    if isinstance(settings, FileWeights):
        if not settings.path.is_file():
            raise Problem(f"there is no file {settings.path}", f"put it there, or correct weights.{key}.path")
        return f"{settings.path}: {size(settings.path.stat().st_size)}"
    folder = Path(os.environ.get("KERAS_HOME") or "~/.keras") / "models"
    return f"fetched by Keras, about 100 MB, unless they are in {folder}"
