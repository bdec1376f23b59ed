"""Films of many kinds, in a project whose archive and catalog are ready, and a cluster that lasts."""

import hashlib
import json
import struct
import zipfile
import zlib
from binascii import crc32
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from glassbox import files, layout, params
from glassbox.cohorts import catalog
from glassbox.shards import build, cluster


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

    def draw(number=0, height=64, width=64):
        noise = np.random.default_rng(number).integers(0, 256, (height, width), dtype=np.uint8)
        return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)

    return draw


@pytest.fixture(scope="session")
def png():
    """A PNG by hand: pixels (height, width[, channels]) of 8 or 16 bits, its colour type, chunks before data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    def encode(pixels, colour, *, before=(), size=None):
        width, height = size or pixels.shape[1::-1]
        header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour, 0, 0, 0)
        big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
        rows = b"".join(b"\0" + row.tobytes() for row in big_endian)
        chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)

    return encode


@pytest.fixture
def project(tmp_path, monkeypatch, scheduler):
    """A project with the source `films` and its dataset `small`, which is the working directory.

    `prepare(contents)` makes the archive and the catalog of images in that order; `build(**dataset)` the shards;
    `shards` is their folder, `work()` the files of an unfinished build.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cluster.ADDRESS, scheduler)
    folder = layout.shards("small")

    def prepare(contents):
        archive = layout.archive("films")
        archive.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive, "w") as members:
            for image, content in contents.items():
                members.writestr(f"images/{image}", content)
        files.write_json(
            layout.METRICS / "sources" / "films.json", {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
        )
        rows = [(image, image[:2], f"images/{image}", ["Mass"], 50.0, "M", "PA", None, []) for image in contents]
        catalog.write(pd.DataFrame(rows, columns=catalog.SCHEMA.names), layout.catalog("films"))

    def run(**dataset):
        small = {"source": "films", "size": 16, "shard_images": 3} | dataset
        source = {"kind": "archive", "path": "x.zip", "sha256": "0" * 64}
        values = {"profile": "test", "sources": {"films": source}, "datasets": {"small": small}}
        empty = {name: {} for name in ("splits", "weights", "experiments")}
        build.build(params.parse(values | empty, "params.yaml"), "small")

    return SimpleNamespace(
        prepare=prepare,
        build=run,
        shards=folder,
        origin=lambda: json.loads((folder / "origin.json").read_text()),
        work=lambda: sorted(path for path in Path("work").rglob("*") if path.is_file()),
        bytes=lambda: {path.name: path.read_bytes() for path in sorted(folder.iterdir())},
    )
