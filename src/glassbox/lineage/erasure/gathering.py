"""The marks of patients, gathered from all that is at hand before any of it goes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.artifacts import archive, catalog, shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.lineage import pixels
from glassbox.lineage.erasure.marks import Marks
from glassbox.lineage.erasure.windows import most_varied
from glassbox.lineage.lock import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from glassbox.lineage.erasure.recorded import Saw, Store, Stored
    from glassbox.lineage.lock import Lock

_INDEX = "index.parquet"


class Gathered(NamedTuple):
    """What came of it."""

    marks: Marks
    #: Images of others whose files or stored pixels are the same: these stay, and are no marks.
    same_of_others: list[str]


class _Images:
    """What is known of images by their ids, those of others among it."""

    def __init__(self, theirs: Iterable[str]) -> None:
        self.theirs = frozenset(theirs)
        #: Hash -> the images that have it.
        self.of_hash: defaultdict[str, set[str]] = defaultdict(set)
        #: Hash -> CRC-32 and size of a file.
        self.sums: dict[str, tuple[int, int]] = {}
        #: Hash -> pieces of what has it.
        self.pieces: defaultdict[str, set[bytes]] = defaultdict(set)

    def named(self, member: str) -> str:
        """Which of their images a member is by its path, whose last parts an image's id is; empty where none."""
        plain = member.replace("/._", "/")  # what a desktop left behind beside it
        ends = (plain, *(plain[at.end() :] for at in re.finditer("/", plain)))
        return next((end for end in ends if end in self.theirs), "")

    def piece(self, sha256: str, content: bytes | memoryview) -> None:
        if found := most_varied(content):
            self.pieces[sha256].add(found)


def gather(
    source: str, said: Saw, on_record: Mapping[str, Stored], every: Iterable[Lock], store: Store
) -> Gathered:
    """The marks of patients in everything at hand.

    Args:
        source: Key of the source.
        said: What the tables on record say of them.
        on_record: What every dvc.lock on record names.
        every: Each dvc.lock.
        store: Where objects lie.
    """
    known = _Images(image for images in said.images.values() for image in images)
    for zipped, listed in _archives(source, every, store).items():
        _of_archive(zipped, listed, known)
    for md5, (path, sources) in on_record.items():
        if source in sources and md5.endswith(FOLDER) and pixels.dataset(path):
            _of_dataset(store.files(md5), path, store, known)
        elif source in sources and path.endswith(".parquet") and (at := store.at(md5, path)):
            _of_table(at, known)
    theirs = {one: images for one, images in known.of_hash.items() if images & known.theirs}
    others = {one for one, images in theirs.items() if images - known.theirs}
    return Gathered(
        Marks(
            source=source,
            patients=tuple(sorted(said.images)),
            images=tuple(sorted(known.theirs)),
            hashes=tuple(sorted(theirs.keys() - others)),
            shared=tuple(sorted(others)),
            sums=tuple(sorted(known.sums[one] for one in theirs.keys() - others if one in known.sums)),
            pieces=tuple(sorted({found.hex() for one in theirs.keys() - others for found in known.pieces[one]})),
        ),
        sorted({image for one in others for image in theirs[one] - known.theirs}),
    )


def _archives(source: str, every: Iterable[Lock], store: Store) -> dict[Path, dict[str, str]]:
    """Each zip of the source at hand -> member -> image, by the catalogs that were made of it."""
    found: defaultdict[Path, dict[str, str]] = defaultdict(dict)
    for lock in every:
        entry = lock.stages.get(f"catalog@{source}")
        if entry is None:
            continue
        at = {file.path: store.at(file.md5, file.path) for file in (*entry.deps, *entry.outs)}
        zipped, listed = at.get(archive.path(source).as_posix()), at.get(catalog.path(source).as_posix())
        if zipped and listed:
            rows = pq.read_table(listed, columns=["member", "image_id"])
            found[zipped] |= dict(zip(rows["member"].to_pylist(), rows["image_id"].to_pylist(), strict=True))
    return found


def _of_archive(path: Path, listed: Mapping[str, str], known: _Images) -> None:
    """The files of their images in a zip, and whoever has the same."""
    images: dict[str, str] = {}
    try:
        members = zips.members(path)
        for member in members:
            # Images of people who are withdrawn already are in no catalog that was made since.
            images[member.name] = listed.get(member.name) or known.named(member.name) or member.name
        wanted = {(one.crc, one.size) for one in members if images[one.name] in known.theirs}
        with zips.opened(path) as descriptor:
            for member in members:
                if (member.crc, member.size) in wanted:
                    content = zips.read(descriptor, member)
                    sha256 = hashlib.sha256(content).hexdigest()
                    known.of_hash[sha256].add(images[member.name])
                    known.sums[sha256] = member.crc, member.size
                    known.piece(sha256, content)
                    known.piece(sha256, zips.packed(descriptor, member))
    except (ArchiveError, OSError):  # it is damaged: other copies say what they are
        return


def _of_dataset(files: Mapping[str, str], path: str, store: Store, known: _Images) -> None:
    """The stored pixels of their images in a dataset, and whoever has the same."""
    at = {name: found for name, md5 in files.items() if (found := store.at(md5, f"{path}/{name}"))}
    if _INDEX not in at:
        return
    _of_table(at[_INDEX], known)
    try:
        rows = pq.read_table(at[_INDEX], columns=["image_id", "shard", "row", "pixels_sha256"])
        size = int(json.loads(pq.read_schema(at[_INDEX]).metadata[b"facts"])["size"])
        held = Counter(rows["shard"].to_pylist())
        for row in rows.filter(
            pc.is_in(rows["image_id"], pa.array(sorted(known.theirs), pa.string()))
        ).to_pylist():
            if place := at.get(row["shard"]):
                images = shards.mapped(place, held[row["shard"]], size, str(pixels.dataset(path)))
                known.piece(row["pixels_sha256"], images[row["row"]].tobytes())
    except (pa.ArrowException, ArtifactError, LookupError, OSError, ValueError):
        return


def _of_table(path: Path, known: _Images) -> None:
    """The hashes that a table has of images, if it is one of images."""
    try:
        names = pq.read_schema(path).names
        for column in {"source_sha256", "pixels_sha256"} & set(names) if "image_id" in names else ():
            rows = pq.read_table(path, columns=["image_id", column])
            for image, sha256 in zip(rows["image_id"].to_pylist(), rows[column].to_pylist(), strict=True):
                known.of_hash[sha256].add(image)
    except (pa.ArrowException, OSError):
        return
