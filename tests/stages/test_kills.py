"""The first half of the pipeline under `kill -9`: whoever dies when, the next `dvc repro` ends in the same bytes.

A source of Kaggle's, whose zip comes slowly from a server on the loopback, is downloaded, catalogued and resized
by the real stages under the real DVC. In each round one process dies at a random moment of its life: DVC, whose
stage goes on as an orphan, the stage that runs, one of its workers, or the scheduler of a cluster of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import loopback_kaggle as kaggle
import psutil
import pytest
from pipeline_copy import Project

from glassbox.params.sources import PhantomSource
from glassbox.phantoms import archive as phantom

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGET = "resize@small"
VICTIMS = ("dvc", "download", "resize", "worker", "scheduler")
#: Seconds for which anything is waited for.
PATIENCE = 240


@dataclass
class Campaign:
    """A project that was never built, what an undisturbed build makes of it, and how long its processes live."""

    template: Path
    outputs: dict[str, bytes]
    lives: dict[str, float]
    environment: dict[str, str]

    def project(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.template, folder, symlinks=True))

    def start(self, project: Path, **environment: str) -> subprocess.Popen[bytes]:
        """DVC, at work; what it and its stages say goes to a file, as an orphan would keep a pipe open."""
        with _log(project).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dvc", "repro", TARGET],
                cwd=project,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
            )


def _log(project: Path) -> Path:
    return project.parent / f"{project.name}.log"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    root = tmp_path_factory.mktemp("kills")
    phantom.write(PhantomSource(kind="phantom", layout="nih", seed=3, patients=30, size=96), root / "films.zip")
    with kaggle.LoopbackKaggle((root / "films.zip").read_bytes(), token=kaggle.TOKEN) as server:
        server.storage_faults = _Always(kaggle.trickling(0.05))
        environment = {
            **os.environ,
            **server.environment(),
            "KAGGLE_API_TOKEN": kaggle.TOKEN,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
        }
        campaign = Campaign(_template(root / "template", environment), {}, {}, environment)
        project = campaign.project(root / "undisturbed")
        campaign.lives = _lives(campaign.start(project), project)
        campaign.outputs = _outputs(project)
        assert any(name.endswith("part-00005.h5") for name in campaign.outputs)
        yield campaign


class _Always(list):
    """Faults without end."""

    def __init__(self, fault):
        super().__init__([fault])

    def pop(self, *_):
        return self[0]


def _template(root: Path, environment: dict[str, str]) -> Path:
    params = {
        "profile": "kills",
        "sources": {"films": {"kind": "kaggle", "layout": "nih", "ref": "nobody/films", "version": 3}},
        "withdrawn": {"films": []},
        "datasets": {"small": {"source": "films", "size": 32, "shard_images": 4}},
        **{name: {} for name in ("splits", "weights", "experiments", "grids")},
    }
    project = Project.copy(root, params, **environment)
    # A stage imports from src/ first: there it learns whom to take for Kaggle.
    shutil.copy(kaggle.ENDPOINT / "sitecustomize.py", root / "src")
    return project.root


def _outputs(project: Path) -> dict[str, bytes]:
    """Every file that the pipeline made, and what it left that it should not have."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for folder in ("data", "metrics", "work")
        for path in sorted((project / folder).rglob("*"))
        # Locks are files that stay; Dask's are its own.
        if path.is_file() and path.suffix != ".lock" and "dask" not in path.parts
    } | {"dvc.lock": (project / "dvc.lock").read_bytes()}


def _victims(dvc: psutil.Process) -> dict[str, psutil.Process]:
    """The processes of a build that live, by the names of victims; only `resize` has workers."""
    found = {"dvc": dvc}
    # One of them may end meanwhile.
    with suppress(psutil.NoSuchProcess):
        for one in dvc.children(recursive=True):
            words = one.cmdline()
            if "spawn_main" in " ".join(words):
                found.setdefault("worker", one)
            elif words[1:2] == ["-P"] and words[2:]:
                found[Path(words[2]).stem] = one
    return found


def _lives(started: subprocess.Popen[bytes], project: Path) -> dict[str, float]:
    """How many seconds each victim of an undisturbed build lived."""
    seen: dict[str, list[float]] = {name: [] for name in VICTIMS}
    dvc = psutil.Process(started.pid)
    while started.poll() is None:
        for name in _victims(dvc).keys() & seen:
            seen[name].append(time.monotonic())
        time.sleep(0.05)
    assert started.returncode == 0, _log(project).read_text()
    lives = {name: times[-1] - times[0] for name, times in seen.items() if times}
    # A scheduler of its own is there before the stage: what counts is the stage's life.
    return lives | {"scheduler": lives["resize"]}


@contextmanager
def _cluster(project: Path, environment: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler and a worker from the command line; its address, and the scheduler's process."""
    place = project.parent / f"{project.name}.scheduler.json"
    options = {"cwd": project, "env": environment | {"PYTHONPATH": str(project / "src")}}
    with ExitStack() as stack, _log(project).open("ab") as log:

        def run(module: str, *words: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(place), *words],
                stdout=log,
                stderr=log,
                **options,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        scheduler = run("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        while not place.exists():
            assert scheduler.poll() is None, _log(project).read_text()
            time.sleep(0.05)
        run("dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "30")
        yield json.loads(place.read_text())["address"], psutil.Process(scheduler.pid)


def _kill(campaign: Campaign, project: Path, name: str, moment: float) -> bool:
    """Builds and kills the victim after so many seconds of its life; whether it still lived."""
    with ExitStack() as stack:
        environment, victim = {}, None
        if name == "scheduler":
            address, victim = stack.enter_context(_cluster(project, campaign.environment))
            environment = {"DASK_SCHEDULER_ADDRESS": address}
        started = campaign.start(project, **environment)
        began = _wait_for(started, "resize" if victim else name, project)
        time.sleep(moment)
        lived = began.is_running() and began.status() != psutil.STATUS_ZOMBIE
        with suppress(psutil.NoSuchProcess):
            (victim or began).kill()
        # A stage whose DVC was killed goes on: the next build meets it.
        started.wait(PATIENCE)
    return lived


def _wait_for(started: subprocess.Popen[bytes], name: str, project: Path) -> psutil.Process:
    dvc, end = psutil.Process(started.pid), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if victim := _victims(dvc).get(name):
            return victim
        assert started.poll() is None, f"DVC ended before {name} began: {_log(project).read_text()}"
        time.sleep(0.02)
    raise AssertionError(f"no {name} within {PATIENCE} s: {_log(project).read_text()}")


def _survive(campaign: Campaign, folder: Path, name: str, seed: int) -> None:
    draw = random.Random(f"{name}-{seed}")  # noqa: S311 (no secret)
    for attempt in range(10):
        project = campaign.project(folder / f"{name}-{attempt}")
        killed = _kill(campaign, project, name, draw.uniform(0.0, campaign.lives[name]))
        again = campaign.start(project)
        assert again.wait(PATIENCE) == 0, _log(project).read_text()
        found = _outputs(project)
        assert found.keys() == campaign.outputs.keys(), _log(project).read_text()
        assert [place for place in found if found[place] != campaign.outputs[place]] == []
        shutil.rmtree(project)
        if killed:
            return
    pytest.fail(f"{name} ended before it could be killed, ten times")


@pytest.mark.timeout(1200)
def test_whoever_is_killed_the_next_build_ends_in_the_bytes_of_an_undisturbed_one(campaign, tmp_path):
    _survive(campaign, tmp_path, "worker", seed=2018)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(50))
def test_fifty_kills_end_in_the_bytes_of_an_undisturbed_build(campaign, tmp_path, seed):
    _survive(campaign, tmp_path, VICTIMS[seed % len(VICTIMS)], seed)
