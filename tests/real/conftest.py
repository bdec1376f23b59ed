"""Real X-rays, where they are at hand, in a project of their own."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import LocalCluster

from glassbox import layout, params
from glassbox.cohorts import build as catalogs
from glassbox.files import sha256_file
from glassbox.shards import build as shards
from glassbox.shards import cluster
from glassbox.sources import archive

_FOLDER = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data():
    """The folder of real X-rays and of NIH's whole metadata."""
    if not _FOLDER.is_dir():
        pytest.skip(f"there are no real X-rays at {_FOLDER}")
    return _FOLDER


@pytest.fixture(scope="module")
def cohort(data, tmp_path_factory):
    """`cohort(zip, layout, size)`: download, catalog and resize of one of the zips, and what they wrote."""
    done = {}

    def make(name, cohort, size):
        if name not in done:
            folder = tmp_path_factory.mktemp("real")
            source = {
                "kind": "archive",
                "path": str(data / name),
                "sha256": sha256_file(data / name),
                "layout": cohort,
            }
            values = {"sources": {"films": source}, "datasets": {"small": {"source": "films", "size": size}}}
            empty = {name: {} for name in ("splits", "weights", "experiments")}
            parsed = params.parse({"profile": "test"} | values | empty, "params.yaml")
            with (
                pytest.MonkeyPatch.context() as patch,
                LocalCluster(
                    n_workers=1,
                    threads_per_worker=len(os.sched_getaffinity(0)),
                    processes=False,
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                ) as threads,
            ):
                patch.chdir(folder)
                patch.setenv(cluster.ADDRESS, threads.scheduler_address)
                archive.fetch(parsed, "films")
                catalogs.build(parsed, "films")
                shards.build(parsed, "small")
            done[name] = SimpleNamespace(
                source=json.loads((folder / "metrics/sources/films.json").read_text()),
                counts=json.loads((folder / "metrics/catalogs/films.json").read_text()),
                archive=folder / layout.archive("films"),
                catalog=folder / layout.catalog("films"),
                shards=folder / layout.shards("small"),
            )
        return done[name]

    return make
