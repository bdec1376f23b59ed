"""Real X-rays, where they are at hand, in a project of their own."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import write_code
from distributed import LocalCluster

from glassbox.archives.download import download
from glassbox.artifacts import archive, catalog, document, shards
from glassbox.catalogs.build import build as build_catalog
from glassbox.cluster import ADDRESS
from glassbox.files import sha256_file
from glassbox.params.datasets import Dataset
from glassbox.params.sources import ArchiveSource
from glassbox.shards.build import build as build_shards

_FOLDER = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data():
    """The folder of real X-rays and of NIH's whole metadata."""
    if not _FOLDER.is_dir():
        pytest.skip(f"there are no real X-rays at {_FOLDER}")
    return _FOLDER


@pytest.fixture(scope="module")
def cohort(data, tmp_path_factory):
    """`cohort(zip, layout, size)`: goes to a project in which a source `films` and a dataset `small` were built.

    Returns the source's record, the catalog's rows and counts, and the dataset's index.
    """
    with pytest.MonkeyPatch.context() as patch:
        done = {}

        def make(name, layout, size):
            if name not in done:
                done[name] = tmp_path_factory.mktemp("real")
                patch.chdir(done[name])
                _build(data / name, layout, size)
            patch.chdir(done[name])
            return SimpleNamespace(
                source=document.read(archive.record_path("films"), "download@films"),
                counts=document.read(catalog.counts_path("films"), "catalog@films"),
                catalog=catalog.read("films")[0],
                index=shards.read_index("small").rows.to_pandas(),
            )

        yield make


def _build(zip_, layout, size):
    source = ArchiveSource(kind="archive", path=zip_, sha256=sha256_file(zip_), layout=layout)
    write_code("pixels")
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=len(os.sched_getaffinity(0)),
            processes=False,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as threads,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(ADDRESS, threads.scheduler_address)
        download(source, "films")
        build_catalog(source, "films")
        build_shards(Dataset(source="films", size=size), "small")
