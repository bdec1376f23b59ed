"""Films of many kinds, in a project whose archive and catalog are ready, and a cluster that lasts."""

import itertools
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from binascii import crc32
from pathlib import Path
from types import SimpleNamespace

import builders
import cv2
import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from glassbox import cluster
from glassbox.archives import zip as zips
from glassbox.artifacts import archive, catalog, members, shards
from glassbox.files import sha256_file
from glassbox.params.datasets import Dataset
from glassbox.shards import build, compiled, decode


@pytest.fixture(scope="session")
def scheduler():
    """The address of a cluster of one thread in this process, which is there at once."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as local:
        yield local.scheduler_address


@pytest.fixture(scope="session")
def film():
    """A smooth picture of noise, uint8 (height, width), another one for each number."""

    def render(number=0, height=64, width=64):
        noise = np.random.default_rng(number).integers(0, 256, (height, width), dtype=np.uint8)
        return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)

    return render


@pytest.fixture(scope="session")
def noise():
    """Noise of all levels, in which every branch of every filter is taken; uint8 or uint16 of any shape."""

    def draw(*shape, number=0, dtype=np.uint8):
        return np.random.default_rng(number).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)

    return draw


#: Colour type -> channels.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Adam7: first row, first column, and the steps between rows and between columns, of each pass.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))


def _packed(rows, depth):
    """Rows of values (height, values) in bytes, most significant bit first."""
    if depth == 16:
        return rows.astype(">u2").view(np.uint8)
    bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
    return np.packbits(bits.reshape(len(rows), -1), axis=1)


def _filtered(rows, filters, step):
    """Bytes of rows (height, bytes) filtered by `filters` in turn, as section 9.2 of PNG's specification says."""
    out, above = b"", np.zeros(rows.shape[1], int)
    for row, kind in zip(rows.astype(int), itertools.cycle(filters)):
        left = np.r_[np.zeros(step, int), row][: len(row)]
        corner = np.r_[np.zeros(step, int), above][: len(row)]
        a, b, c = (abs(left + above - corner - near) for near in (left, above, corner))
        paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, above, corner))
        guess = (0 * row, left, above, (left + above) // 2, paeth)[kind]
        out += bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes()
        above = row
    return out


@pytest.fixture(scope="session")
def png():
    """A PNG by hand.

    `encode(pixels, colour)`: values (height, width[, channels]) and the colour type of the header. `depth` is bits
    a channel, `filters` of the rows in turn, `before` chunks ahead of the data, which `cuts` part into several;
    `header` replaces fields of the header, `rows` and `stream` change what is deflated and what came of it.
    """

    def encode(
        pixels,
        colour,
        *,
        depth=None,
        interlaced=False,
        filters=(0,),
        before=(),
        cuts=(),
        header=None,
        rows=lambda rows: rows,
        stream=lambda stream: stream,
    ):
        height, width = pixels.shape[:2]
        depth = depth or 8 * pixels.itemsize
        step = max(1, depth * _CHANNELS[colour] // 8)
        parts = [pixels[y::dy, x::dx] for y, x, dy, dx in _PASSES] if interlaced else [pixels]
        raw = b"".join(
            _filtered(_packed(part.reshape(len(part), -1), depth), filters, step) for part in parts if part.size
        )
        fields = {
            "width": width,
            "height": height,
            "depth": depth,
            "colour": colour,
            "compression": 0,
            "filter": 0,
        }
        head = struct.pack(">IIBBBBB", *(fields | {"interlace": interlaced} | (header or {})).values())
        data = stream(zlib.compress(rows(raw)))
        places = [0, *cuts, len(data)]
        pieces = [(b"IDAT", data[start:end]) for start, end in itertools.pairwise(places)]
        chunks = [(b"IHDR", head), *before, *pieces, (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)

    return encode


@pytest.fixture(scope="session")
def chunks():
    """Takes a PNG apart into (kind, data) and, given those, puts it together with right lengths and CRCs."""

    def change(png):
        if isinstance(png, list):
            return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in png)
        found, start = [], 8
        while start < len(png):
            length, kind = struct.unpack_from(">I4s", png, start)
            found.append((kind, png[start + 8 : start + 8 + length]))
            start += 12 + length
        return found

    return change


@pytest.fixture
def without_compiler(monkeypatch):
    """As on a machine where the compiled loops cannot be had."""
    monkeypatch.setattr(compiled, "load", lambda: compiled.Compiled(None, "none here"))


_BUILD = """
import json, os, sys
from distributed import LocalCluster
from glassbox import cluster
from glassbox.params.datasets import Dataset
from glassbox.shards import build
with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as local:
    os.environ[cluster.ADDRESS] = local.scheduler_address
    build.build(Dataset(**json.loads(sys.argv[1])), "small")
"""


@pytest.fixture
def project(tmp_path, monkeypatch, scheduler):
    """A project with the source `films` and its dataset `small`, which is the working directory.

    `prepare(contents)` makes the archive and the catalog of images in that order; `build(**dataset)` the shards,
    and `start(**dataset)` a process that does, after `first`, with a cluster of one thread of its own. `index()`
    and `rejected()` are the tables, `read` and `decoded` the images whose files the last build read and decoded,
    `work()` the files of an unfinished build.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cluster.ADDRESS, scheduler)
    builders.write_code("pixels")
    folder = shards.folder("small")
    read, decoded, reader, decoder = [], [], zips.read, decode.decode

    def spied_read(descriptor, member):
        read.append(Path(member.name).name)
        return reader(descriptor, member)

    def spied_decode(*arguments):
        decoded.append(read[-1])
        return decoder(*arguments)

    monkeypatch.setattr(zips, "read", spied_read)
    monkeypatch.setattr(decode, "decode", spied_decode)

    def prepare(contents):
        path = archive.path("films")
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as files:
            for image, content in contents.items():
                files.writestr(f"images/{image}", content)
        members.write("films", zips.verify(path, zips.members(path), label="films"), sha256_file(path))
        rows = [(image, image[:2], f"images/{image}", ["Mass"], 50.0, "M", "PA", None, []) for image in contents]
        words = catalog.Vocabulary(("Mass",), "No Finding")
        catalog.write("films", pd.DataFrame(rows, columns=catalog.SCHEMA.names), words)

    def settings(dataset):
        return {"source": "films", "size": 16, "shard_images": 3} | dataset

    def run(**dataset):
        read.clear()
        decoded.clear()
        build.build(Dataset(**settings(dataset)), "small")

    def index():
        return shards.read_index("small").rows.to_pandas()

    def start(*, first="", **dataset):
        return subprocess.Popen(
            [sys.executable, "-c", f"{first}\n{_BUILD}", json.dumps(settings(dataset))],
            stderr=subprocess.PIPE,
            text=True,
        )

    return SimpleNamespace(
        prepare=prepare,
        build=run,
        start=start,
        settings=settings,
        shards=folder,
        read=read,
        decoded=decoded,
        index=index,
        rejected=lambda: pd.read_parquet(folder / "rejected.parquet").to_numpy().tolist(),
        work=lambda: sorted(path for path in Path("work").rglob("*") if path.is_file()),
        bytes=lambda: {path.name: path.read_bytes() for path in sorted(folder.iterdir())},
    )
