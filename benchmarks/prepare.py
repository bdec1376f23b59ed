"""From archive to shard: how fast one core is, beside what else it could run, and what a second one and Dask cost.

    uv run python benchmarks/prepare.py [--archive ZIP] [--quick]

Takes the 1024 px films of `--archive` (24 real ones of NIH where they are at hand, else generated ones), and turns
them into shards of 384 px. All pieces of work read the same members, hash them and write the same shard; only what
makes the pixels differs:

- `glassbox`: what a worker of the resize stage does, tables and fsync included;
- `opencv`: `cv2.imdecode` to grey and `cv2.resize` with INTER_AREA;
- `article`: the 2018 article's `plt.imread`, `skimage.transform.resize` without anti-aliasing, and min-max;
- `skimage`: the same with today's anti-aliasing;
- `no compiler`: `glassbox` where Numba cannot be had;
- `inflate`: nothing but the inflating of the films' image data, which lie in memory.

These run in seconds of CPU on one core. Then shards of 256 films are written on one and on two processes of a bare
pool and on a local Dask cluster, in seconds of the clock: leave the machine alone meanwhile. Dask's start is
counted as a share of the full set of 112,120 films at the measured speed.

Medians of at least nine rounds in turn, with 95 % intervals. Prints tables and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import cv2
import deflate
import h5py
import numpy as np
from distributed import Client, LocalCluster, wait
from interleaved import Ratio, ratio, rounds

from glassbox.archives import zip as zips
from glassbox.params.sources import PhantomSource
from glassbox.phantoms import archive as phantom
from glassbox.shards import compiled, png
from glassbox.shards.shard import Image, ShardPlan, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.artifacts.members import Member

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "nih-1024px-24.zip"
SIZE = 384
#: What a worker does; `getrusage` would count what the process that started it took.
_PEAK = """
import distributed, pathlib, pickle, re, sys
from glassbox.shards.shard import write
write(pickle.load(sys.stdin.buffer))
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) * 1024 / 1e6)
"""
#: Films of NIH, and of one shard.
FULL, SHARD = 112_120, 256


class Films(NamedTuple):
    """Films in an archive, repeated under other names until they are enough for a shard."""

    archive: Path
    members: list[Member]
    contents: list[bytes]

    def plan(self, folder: Path, name: str, count: int, size: int = SIZE) -> ShardPlan:
        """A shard of `count` films for the resize stage's worker to write."""
        images = tuple(Image(f"{at:05d}", member) for at, member in enumerate(self.members[:count]))
        return ShardPlan(self.archive, images, size, "area", folder / f"{name}.h5")


def main() -> None:
    """Measures, prints the tables, and last the line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--archive", type=Path, default=REAL, help=f"a zip with PNGs (default: {REAL})")
    arguments.add_argument("--quick", action="store_true", help="three rounds of little work: shows that all runs")
    asked = arguments.parse_args()
    count = 3 if asked.quick else 9
    with tempfile.TemporaryDirectory() as folder:
        films = _films(asked.archive, Path(folder))
        summary = _one_core(films, Path(folder), count, 24 if asked.quick else 96)
        summary |= _many_cores(films, Path(folder), count, 2 if asked.quick else 8)
        summary |= _memory(films, Path(folder))
        summary |= _reduced_jpeg(films)
    print(json.dumps(summary))


def _films(archive: Path, folder: Path) -> Films:
    """The films of an archive, those that take the fast way only: 23 of the 24 real ones are plain grey."""
    if not archive.is_file():
        archive = folder / "phantoms.zip"
        phantom.write(PhantomSource(kind="phantom", layout="nih", seed=1, patients=8, size=1024), archive)
    with zips.opened(archive) as descriptor:
        contents = [
            zips.read(descriptor, member) for member in zips.members(archive) if member.name.endswith(".png")
        ]
    contents = [content for content in contents if png.parse(content).is_plain_grey]
    repeated = folder / "films.zip"
    with zipfile.ZipFile(repeated, "w") as target:
        for at in range(SHARD):
            target.writestr(f"{at:05d}.png", contents[at % len(contents)])
    print(f"{len(contents)} films of {archive.name}, {sum(map(len, contents)) // len(contents):,} bytes each")
    return Films(repeated, zips.verify(repeated, zips.members(repeated), label="films"), contents)


def _one_core(films: Films, folder: Path, count: int, images: int) -> dict[str, float]:
    compiled.load()
    plan = films.plan(folder, "one", images)
    data = [_image_data(films.contents[at % len(films.contents)]) for at in range(images)]

    def without_compiler() -> None:
        with mock.patch.object(compiled, "load", return_value=compiled.Compiled(None)):
            write(plan)

    work: dict[str, Callable[[], object]] = {
        "glassbox": partial(write, plan),
        "opencv": partial(_loop, plan, _opencv),
        "article": partial(_loop, plan, partial(_article, anti_aliasing=False)),
        "skimage": partial(_loop, plan, partial(_article, anti_aliasing=True)),
        "no compiler": without_compiler,
        "inflate": lambda: [deflate.zlib_decompress(stream, size) for stream, size in data],
    }
    seconds = rounds(work, count)
    ratios = {
        "vs_opencv": ratio(seconds["opencv"], seconds["glassbox"]),
        "vs_article": ratio(seconds["article"], seconds["glassbox"]),
        "vs_skimage_antialiased": ratio(seconds["skimage"], seconds["glassbox"]),
        "vs_inflate": ratio(seconds["inflate"], seconds["glassbox"]),
        "vs_no_compiler": ratio(seconds["no compiler"], seconds["glassbox"]),
    }
    print(f"\none core, {images} films to {SIZE} px, {count} rounds")
    for name, taken in seconds.items():
        print(f"{name:>12} {1000 * median(taken) / images:>8.2f} ms a film {images / median(taken):>8.0f} films/s")
    _print(ratios)
    return _flat(ratios) | {"images_per_second": round(images / median(seconds["glassbox"]), 1)}


def _many_cores(films: Films, folder: Path, count: int, shards: int) -> dict[str, float]:
    work = [films.plan(folder, str(number), SHARD) for number in range(shards)]
    spawn = multiprocessing.get_context("spawn")
    start = time.perf_counter()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        started = time.perf_counter() - start
        with ProcessPoolExecutor(1, spawn) as one, ProcessPoolExecutor(2, spawn) as two:
            seconds = rounds(
                {
                    "one process": lambda: list(one.map(write, work)),
                    "two processes": lambda: list(two.map(write, work)),
                    "Dask, two workers": lambda: wait(client.map(write, work, pure=False)),
                },
                count,
                time.perf_counter,
            )
    full = FULL / (SHARD * shards) * median(seconds["two processes"])
    steady = ratio(seconds["Dask, two workers"], seconds["two processes"])
    ratios = {"two_workers": ratio(seconds["one process"], seconds["two processes"])}
    overhead = Ratio(*(round(value - 1 + started / full, 4) for value in steady))
    print(f"\n{shards} shards of {SHARD} films, {count} rounds")
    for name, taken in seconds.items():
        print(f"{name:>18} {SHARD * shards / median(taken):>8.0f} films/s")
    _print(ratios | {"dask_steady": steady, "dask_overhead": overhead})
    print(f"Dask starts in {started:.1f} s, {started / full:.2%} of the full set's {full:.0f} s")
    return _flat(ratios | {"dask_overhead": overhead}) | {"dask_start_seconds": round(started, 2)}


def _memory(films: Films, folder: Path) -> dict[str, float]:
    """The peak memory of a worker process that writes a shard of 256 films at 1024 px, where it needs most."""
    plan = films.plan(folder, "large", SHARD, 1024)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK], input=pickle.dumps(plan), stdout=subprocess.PIPE, check=True
    )
    peak = float(done.stdout)
    print(f"\na worker's peak memory: {peak:.0f} MB")
    return {"worker_peak_mb": round(peak, 1)}


def _reduced_jpeg(films: Films) -> dict[str, float]:
    """What JPEG's reduced decoding would gain, and what it would do to the pixels: why it is not used."""
    grey = [cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) for content in films.contents]
    jpegs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for image in grey]

    def scaled(flag: int) -> np.ndarray:
        whole = (cv2.imdecode(jpeg, flag) for jpeg in jpegs)
        return np.stack([cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for image in whole])

    full = partial(scaled, cv2.IMREAD_GRAYSCALE)
    half = partial(scaled, cv2.IMREAD_REDUCED_GRAYSCALE_2)
    seconds = rounds({"full": full, "half": half}, 9)
    faster = ratio(seconds["full"], seconds["half"])
    difference = np.abs(full().astype(int) - half())
    print(
        f"\nJPEG decoded at half size: {faster} times as fast, but up to {difference.max()} grey levels off, "
        f"{(difference > 1).mean():.2%} of the pixels by more than one"
    )
    return {
        "jpeg_reduced_speed": round(faster.median, 3),
        "jpeg_reduced_largest_difference": int(difference.max()),
    }


def _loop(plan: ShardPlan, scale: Callable[[bytes], np.ndarray]) -> None:
    """A script's plain loop: the images of a shard, read, hashed, scaled by `scale`, and written to one shard."""
    pixels = np.empty((len(plan.images), SIZE, SIZE), np.uint8)
    with zips.opened(plan.archive) as descriptor:
        for at, image in enumerate(plan.images):
            content = zips.read(descriptor, image.member)
            hashlib.sha256(content).hexdigest()
            pixels[at] = scale(content)
    path = plan.path.with_name("loop.h5")
    with h5py.File(path, "w") as shard:
        shard.create_dataset("images", data=pixels)
    with path.open("rb") as written:
        os.fsync(written.fileno())
        hashlib.file_digest(written, "sha256")


def _opencv(content: bytes) -> np.ndarray:
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _article(content: bytes, *, anti_aliasing: bool) -> np.ndarray:
    import matplotlib.image
    from skimage.transform import resize

    values = matplotlib.image.imread(io.BytesIO(content), format="png")
    scaled = resize(values, (SIZE, SIZE), mode="constant", anti_aliasing=anti_aliasing)
    return ((scaled - scaled.min()) / (scaled.max() - scaled.min()) * 255).astype(np.uint8)


def _image_data(content: bytes) -> tuple[bytes, int]:
    """The compressed image data of a PNG, and how many bytes they inflate to."""
    image = png.parse(content)
    return image.data, image.height * (image.width + 1)


def _print(ratios: dict[str, Ratio]) -> None:
    for name, value in ratios.items():
        print(f"{name:>24} {value}")


def _flat(ratios: dict[str, Ratio]) -> dict[str, float]:
    return {
        f"{name}{suffix}": round(value, 4)
        for name, found in ratios.items()
        for suffix, value in zip(("", "_low", "_high"), found, strict=True)
    }


if __name__ == "__main__":
    main()
