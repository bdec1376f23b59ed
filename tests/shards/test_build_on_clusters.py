"""Builds on clusters of several processes, of which some die: the same bytes, or one message."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import dask
import psutil
import pytest

from glassbox import cluster
from glassbox.phantoms.png import encode
from glassbox.shards import plans

NAMES = [f"{number:02d}.png" for number in range(40)]


@pytest.fixture
def films(project, film):
    """A project of five shards that take a worker a quarter of a second each, and the files of its dataset."""
    large = [encode(film(number, 512, 512)) for number in range(2)]
    contents = {name: large[number % 2] for number, name in enumerate(NAMES)}
    project.prepare(contents | {"20.png": b"no image"})
    settings = {"shard_images": 8, "size": 512, "method": "article", "rejected_share": 0.1}
    project.build(**settings)
    expected = project.bytes()
    for path in project.shards.iterdir():
        path.unlink()
    return SimpleNamespace(
        project=project, build=lambda: project.build(**settings), settings=settings, files=expected
    )


@contextlib.contextmanager
def _beside(watch):
    """Calls `watch` again and again beside the block, until it returns something true or the block ends."""
    stop = threading.Event()

    def run():
        while not watch() and not stop.wait(0.02):
            pass

    watcher = threading.Thread(target=run)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


@contextlib.contextmanager
def _killer(shard, times):
    """Kills, as often as told, the worker that has the unfinished file of a shard open; yields whom it killed."""
    killed = set()

    def watch():
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if process.pid not in killed and any(f"/.{shard}." in file.path for file in process.open_files()):
                    killed.add(process.pid)
                    process.kill()
                    break
        return len(killed) == times

    with _beside(watch):
        yield killed


@pytest.mark.parametrize("cores", [1, pytest.param(4, marks=pytest.mark.long)])
def test_a_local_worker_that_is_killed_is_replaced_and_the_bytes_are_those_of_a_thread(cores, films, monkeypatch):
    monkeypatch.setattr(cluster, "cpu_count", lambda: cores)
    monkeypatch.delenv(cluster.ADDRESS)
    with _killer("part-00001", times=1) as killed:
        films.build()
    assert len(killed) == 1
    assert films.project.bytes() == films.files
    assert not Path("work/resize/small").exists()


@pytest.mark.long
@pytest.mark.parametrize("allowed", [0, pytest.param(3, id="Dask's own 3")])
def test_a_shard_over_which_every_worker_dies_ends_the_build_with_one_message(allowed, films, monkeypatch):
    address = os.environ[cluster.ADDRESS]
    monkeypatch.delenv(cluster.ADDRESS)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": allowed}),
        _killer("part-00003", times=allowed + 1) as killed,
        pytest.raises(cluster.ClusterError) as refusal,
    ):
        films.build()
    assert len(killed) == allowed + 1
    assert re.fullmatch(
        r"datasets\.small: tcp://127\.0\.0\.1:\d+ and workers before it died over one shard", refusal.value.found
    )
    assert refusal.value.expected == "workers with about 400 MB of memory each that stay"
    assert refusal.value.action.endswith("run `dvc repro` again, which goes on where this one stopped")
    assert list(films.project.shards.iterdir()) == []

    finished = {int(path.name[5:10]) for path in films.project.work() if path.match("part-*.parquet")}
    assert 3 not in finished
    monkeypatch.setenv(cluster.ADDRESS, address)
    films.build()
    unfinished = [part for number, part in enumerate(plans.cut(NAMES, 8)) if number not in finished]
    assert films.project.read == [name for part in unfinished for name in NAMES[part]]
    assert films.project.bytes() == films.files


@pytest.mark.long
def test_the_workers_of_a_process_that_is_killed_end_with_it(films):
    code = """if __name__ == "__main__":
    import json, sys
    from glassbox.params.datasets import Dataset
    from glassbox.shards import build
    build.build(Dataset(**json.loads(sys.argv[1])), "small")
"""
    Path("build.py").write_text(code)
    environment = {name: value for name, value in os.environ.items() if name != cluster.ADDRESS}
    command = [sys.executable, "build.py", json.dumps(films.project.settings(films.settings))]
    with subprocess.Popen(command, env=environment) as process:
        while not any(Path("work").rglob("part-00001.parquet")):
            assert process.poll() is None
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= len(os.sched_getaffinity(0))
        process.kill()
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    films.build()
    assert films.project.bytes() == films.files
    assert not Path("work/resize/small").exists()


# --- clusters of others ------------------------------------------------------------------------------------


@pytest.fixture
def started(tmp_path_factory):
    """`started(*arguments)`: a process of the command `dask` in another working directory; killed in the end."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            command = [str(Path(sys.executable).with_name("dask")), *arguments]
            process = stack.enter_context(subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL))
            stack.callback(process.send_signal, signal.SIGTERM)
            return process

        yield start


@pytest.fixture
def elsewhere(started, tmp_path, monkeypatch):
    """A scheduler and a worker, started from the command line; the scheduler's process."""
    file = tmp_path / "scheduler.json"
    scheduler = started(
        *("scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"),
        *("--scheduler-file", str(file)),
    )
    started("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
    while not file.exists():
        time.sleep(0.05)
    monkeypatch.setenv(cluster.ADDRESS, json.loads(file.read_text())["address"])
    return scheduler


@pytest.mark.long
def test_a_scheduler_and_a_worker_in_another_working_directory_build_the_same_bytes(films, elsewhere, capfd):
    films.build()
    assert films.project.bytes() == films.files
    assert films.project.read == []
    assert "Dask dashboard: http" in capfd.readouterr().err
    assert not Path("work/resize/small").exists()


@pytest.mark.long
def test_a_scheduler_that_is_lost_ends_the_build_with_one_message(films, elsewhere):
    def kill():
        if found := any(Path("work").rglob("part-00001.parquet")):
            elsewhere.kill()
        return found

    with _beside(kill), pytest.raises(cluster.ClusterError) as refusal:
        films.build()
    assert refusal.value.found == f"datasets.small: the scheduler at {os.environ[cluster.ADDRESS]} was lost"
    assert refusal.value.action.endswith("run `dvc repro` again, which goes on where this one stopped")
    assert list(films.project.shards.iterdir()) == []
