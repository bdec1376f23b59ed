"""What a worker needs to write a shard: its memory, and what it is told."""

import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from glassbox.archives import zip as zips
from glassbox.artifacts.damage import ArtifactError
from glassbox.phantoms.png import encode
from glassbox.shards import build, shard

_WRITE = r"""
import pathlib, pickle, re, sys
from glassbox.shards import shard
for plan in pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()):
    written = shard.write(plan)
    assert not written.slow, written
    # getrusage would count what the process that started this one took.
    peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
    print(written.decoded, int(peak) // 1024)
"""
#: What a worker may take, in MiB; most of it are the libraries.
MOST = 400


@pytest.fixture
def plan(tmp_path, film):
    """`plan(images, size, method)`: a shard to write of films of full size."""
    films = [encode(film(number, 1024, 1024)) for number in range(4)]

    def make(images, size, method="area"):
        path = tmp_path / f"{images}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(images):
                archive.writestr(f"{number:05d}.png", films[number % len(films)])
        found = tuple(shard.Image(member.name, member) for member in zips.members(path))
        return shard.ShardPlan(path, found, size, method, tmp_path / f"work/part-{images:05d}.h5")

    return make


@pytest.fixture
def written(tmp_path):
    """`written(*plans)`: of each how many images a process decodes that does them, and its peak memory in MiB."""

    def run(*plans):
        (tmp_path / "plans").write_bytes(pickle.dumps(plans))
        command = [sys.executable, "-c", _WRITE, str(tmp_path / "plans")]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for plan in plans:
            assert plan.is_done
            assert plan.path.stat().st_size > len(plan.images) * plan.size**2
        return [tuple(map(int, line.split())) for line in said.splitlines()]

    return run


def test_a_worker_that_writes_a_shard_of_full_size_films_stays_below_400_mb_whatever_their_number(plan, written):
    few, many = written(plan(8, 768), plan(72, 768))
    assert (few[0], many[0]) == (8, 72)
    assert many[1] < MOST
    # The images alone are 36 MiB more.
    assert many[1] - few[1] < 15


@pytest.mark.long
@pytest.mark.parametrize(("size", "method"), [(1024, "area"), (384, "article")])
def test_a_worker_that_writes_large_images_or_the_articles_stays_below_400_mb(size, method, plan, written):
    ((decoded, peak),) = written(plan(256, size, method))
    assert decoded == 256
    assert peak < MOST


@pytest.mark.long
def test_a_worker_that_copies_large_images_from_an_earlier_build_stays_below_400_mb(plan, written, tmp_path):
    first = plan(256, 1024)
    written(first)
    rows = first.read().rows.select(["row", "pixels_sha256", "width", "height", "channels"]).to_pylist()
    stored = [shard.Stored(first.path, len(rows), **row) for row in rows]
    images = [image._replace(stored=earlier) for image, earlier in zip(first.images, stored, strict=True)]
    copy = replace(first, images=tuple(images), path=tmp_path / "again/part-00256.h5")
    ((decoded, peak),) = written(copy)
    assert decoded == 0
    assert peak < MOST
    assert copy.path.read_bytes() == first.path.read_bytes()


def test_a_plan_carries_its_own_members_alone(project, film, monkeypatch):
    plans = []
    monkeypatch.setattr(build, "_run", lambda found, _: plans.extend(found))
    names = [f"{number:05d}.png" for number in range(1000)]
    project.prepare(dict.fromkeys(names, encode(film())))
    # Nothing was run, so that there is nothing to collect.
    with pytest.raises(ArtifactError):
        project.build()
    assert [image.image_id for plan in plans for image in plan.images] == names
    assert max(len(plan.images) for plan in plans) == 4
    assert max(len(pickle.dumps(plan)) for plan in plans) < 1500
