"""Which images fall to which shard of a dataset, and what an earlier build has already stored of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from glassbox.artifacts import archive, catalog, members, shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.keyed import Purpose, number
from glassbox.shards.shard import Image, ShardPlan, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glassbox.params.datasets import Dataset

#: Where DVC says what each stage last read and wrote.
_LOCK = Path("dvc.lock")


def images(source: str) -> list[Image]:
    """The images that a source's catalog lists, in archive order.

    Raises:
        ArtifactError: The catalog or the index of the archive's members is missing or damaged, or the one lists
            what the other does not have.
    """
    at = {member.name: member for member in members.read(source)[0]}
    rows, _ = catalog.read(source, ["image_id", "member"])
    try:
        return [Image(image, at[name]) for image, name in zip(rows["image_id"], rows["member"], strict=True)]
    except KeyError as lost:
        what = f"lists {lost}, which is not in its archive"
        raise ArtifactError(catalog.path(source), what, f"catalog@{source}") from None


def plan(
    settings: Dataset, listed: Sequence[Image], folder: Path, stored: Mapping[str, Stored]
) -> list[ShardPlan]:
    """The shards of a dataset in archive order, each a file of `folder`.

    `listed` are its images, and `stored` is what `find` found.
    """
    found = [image._replace(stored=stored.get(image.member.sha256)) for image in listed]
    zipped = archive.path(settings.source).resolve()
    return [
        ShardPlan(zipped, tuple(found[part]), settings.size, settings.method, folder / f"part-{place:05d}.h5")
        for place, part in enumerate(cut([image.image_id for image in listed], settings.shard_images))
    ]


def cut(images: Sequence[str], about: int) -> list[slice]:
    """Cuts images in their order into shards of about so many, at images whose hashes say so.

    A shard holds from half as many to half as many again, all lengths about as likely, and ends with the one image
    of those it may end with whose hash is the smallest. So an image that comes or goes changes the shard it is in,
    and no other unless a shard ended with it, or would have; then the ends after it soon fall to the same images
    as before, since whichever image a shard begins with, the smallest hash around is the same. With 256 images in
    a shard about 1 removal in 70 changes more than one. (Cut by counting, all shards after it would change.) What
    is left in the end is one shard, of any length up to the largest.

    Args:
        images: Ids, no two of them equal.
        about: Images in a shard, at least 1, for which each is one.

    Returns:
        The shards' places among the images; none of no images.
    """
    numbers = [number(image, Purpose.SHARD, 0) for image in images]
    least, most = (about + 1) // 2, about + about // 2
    slices = []
    start = 0
    while start < len(images):
        end = len(images)
        if end - start > most:
            end = min(range(start + least, start + most + 1), key=lambda end: numbers[end - 1])
        slices.append(slice(start, end))
        start = end
    return slices


def find(dataset: str, made_of: Mapping[str, Any], source: str) -> dict[str, Stored]:
    """What an earlier build of a dataset stored and the next may copy, by the SHA-256 of the image's file.

    Empty where its pixels were made in another way. Empty, too, where nothing changed of what is to be built, nor
    the zip that it is built from: then the build is repeated on purpose, and everything is decoded again.

    Args:
        dataset: Key of the dataset.
        made_of: What is to be built, as `build` describes it.
        source: Key of its source.
    """
    try:
        rows, before = shards.read_index(dataset)
    except ArtifactError:  # no earlier build, a damaged one, or one of another version of this program
        return {}
    if any(before.get(name) != made_of[name] for name in ("size", "method", "code")):
        return {}
    if before == made_of and not _has_another_zip(dataset, source):
        return {}
    names = rows["shard"].to_pylist()
    held = Counter(names)
    paths = {name: (shards.folder(dataset) / name).resolve() for name in held}
    columns = (rows[name].to_pylist() for name in ("source_sha256", "row", *Stored._fields[3:]))
    return {
        source: Stored(paths[name], held[name], *values)
        for name, source, *values in zip(names, *columns, strict=True)
    }


def _has_another_zip(dataset: str, source: str) -> bool:
    """Whether the zip is another one than that of the last build, as far as DVC says so.

    The index does not say of which zip it was made, so that it is the same whoever else is in the archive.
    """
    zipped = archive.path(source).as_posix()
    try:
        stages = yaml.load(_LOCK.read_bytes(), yaml.CSafeLoader)["stages"]
        # While a stage runs, dvc.lock has of it what it read the last time, and of those before it what is now.
        (before,) = [dep["md5"] for dep in stages[f"resize@{dataset}"]["deps"] if dep["path"] == zipped]
        (now,) = [out["md5"] for out in stages[f"download@{source}"]["outs"] if out["path"] == zipped]
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError):
        return False
    return bool(before != now)
