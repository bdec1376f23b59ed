"""What a worker needs to write a shard: its memory, and what it is told."""

import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from glassbox.artifacts.damage import ArtifactError
from glassbox.shards import build, shard
from glassbox.sources import zip as zips
from glassbox.sources.png import encode

_WRITE = r"""
import pathlib, pickle, re, sys
from glassbox.shards import shard
for task in pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()):
    written = shard.write(task)
    assert not written.slow, written
    # getrusage would count what the process that started this one took.
    peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]
    print(written.decoded, int(peak) // 1024)
"""
#: What a worker may take, in MiB; most of it are the libraries.
MOST = 400


@pytest.fixture
def task(tmp_path, film):
    """`task(images, size, method)`: a shard to write of films of full size."""
    films = [encode(film(number, 1024, 1024)) for number in range(4)]

    def make(images, size, method="area"):
        path = tmp_path / f"{images}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(images):
                archive.writestr(f"{number:05d}.png", films[number % len(films)])
        found = tuple(shard.Image(member.name, member) for member in zips.members(path))
        return shard.Task(path, found, size, method, tmp_path / "work", f"part-{images:05d}")

    return make


@pytest.fixture
def written(tmp_path):
    """`written(*tasks)`: of each how many images a process decodes that does them, and its peak memory in MiB."""

    def run(*tasks):
        (tmp_path / "tasks").write_bytes(pickle.dumps(tasks))
        command = [sys.executable, "-c", _WRITE, str(tmp_path / "tasks")]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for task in tasks:
            assert task.is_done
            assert task.path.stat().st_size > len(task.images) * task.size**2
        return [tuple(map(int, line.split())) for line in said.splitlines()]

    return run


def test_a_worker_that_writes_a_shard_of_full_size_films_stays_below_400_mb_whatever_their_number(task, written):
    few, many = written(task(8, 768), task(72, 768))
    assert (few[0], many[0]) == (8, 72)
    assert many[1] < MOST
    # The images alone are 36 MiB more.
    assert many[1] - few[1] < 15


@pytest.mark.long
@pytest.mark.parametrize(("size", "method"), [(1024, "area"), (384, "article")])
def test_a_worker_that_writes_large_images_or_the_articles_stays_below_400_mb(size, method, task, written):
    ((decoded, peak),) = written(task(256, size, method))
    assert decoded == 256
    assert peak < MOST


@pytest.mark.long
def test_a_worker_that_copies_large_images_from_an_earlier_build_stays_below_400_mb(task, written, tmp_path):
    first = task(256, 1024)
    written(first)
    rows = first.read("index").drop("image_id").to_pylist()
    made = [image._replace(made=shard.Made(**row)) for image, row in zip(first.images, rows, strict=True)]
    copy = replace(
        first,
        images=tuple(made),
        folder=tmp_path / "again",
        earlier=first.folder,
        earlier_shards=((first.path.name, len(rows)),),
    )
    ((decoded, peak),) = written(copy)
    assert decoded == 0
    assert peak < MOST
    assert copy.path.read_bytes() == first.path.read_bytes()


def test_a_task_carries_its_own_members_alone(project, film, monkeypatch):
    tasks = []
    monkeypatch.setattr(build, "_run", lambda found, _: tasks.extend(found))
    names = [f"{number:05d}.png" for number in range(1000)]
    project.prepare(dict.fromkeys(names, encode(film())))
    # Nothing was run, so that there is nothing to collect.
    with pytest.raises(ArtifactError):
        project.build()
    assert [image.image_id for task in tasks for image in task.images] == names
    assert max(len(task.images) for task in tasks) == 4
    assert max(len(pickle.dumps(task)) for task in tasks) < 1500
