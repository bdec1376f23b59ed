"""A cohort with NIH's skew of films a patient, as a catalog, and as a project with shards of noise."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox import layout, params
from glassbox.cohorts import catalog, nih
from glassbox.params import PhantomSource
from glassbox.sources import films as generated

SIZE = 16
INFILTRATION = {"task": "binary", "positive": "Infiltration"}


def cohort(patients=300, seed=3, **changes):
    """The rows of a catalog, in the order of patients; about 3.6 films a patient."""
    films = generated.cohort(
        PhantomSource(
            kind="phantom",
            layout="nih",
            seed=seed,
            patients=patients,
            size=64,
            prevalence={"Infiltration": 0.3} | changes,
        )
    )
    return pd.DataFrame(
        {
            "image_id": [film.image_id for film in films],
            "patient_id": [str(film.patient) for film in films],
            "member": [f"images/{film.image_id}" for film in films],
            "findings": [list(film.findings) or ["No Finding"] for film in films],
            "age": [float(film.age) for film in films],
            "sex": [film.sex for film in films],
            "view": [film.view for film in films],
            "official_split": [film.official_split for film in films],
            "boxes": [[] for _ in films],
        }
    )


def table(*findings, **columns):
    """The rows of a catalog with one image of one patient for each list of findings."""
    count = len(findings)
    return pd.DataFrame(
        {
            "image_id": [f"{number}.png" for number in range(count)],
            "patient_id": [str(number) for number in range(count)],
            "member": [f"{number}.png" for number in range(count)],
            "findings": [found.split("|") for found in findings],
            "age": 50.0,
            "sex": ["F", "M"] * (count // 2) + ["F"] * (count % 2),
            "view": "PA",
            "official_split": "train_val",
            "boxes": [[] for _ in range(count)],
        }
        | columns
    )


def split(**changes):
    """The parameters of a split of infiltration against healthy."""
    return {
        "source": "films",
        "dataset": "films_16",
        "labels": INFILTRATION,
        "official_test": True,
        "validation": 0.2,
        "balance": "none",
        "seed": 5,
    } | changes


def settings(**changes):
    """The same, parsed."""
    return params.Split(**split(**changes))


def parameters(**changes):
    """Parameters with the split `asked`."""
    return params.parse(
        {
            "profile": "test",
            "sources": {"films": {"kind": "phantom", "layout": "nih", "seed": 3, "patients": 60, "size": 64}},
            "datasets": {"films_16": {"source": "films", "size": SIZE, "rejected_share": 1.0}},
            "splits": {"asked": split(**changes)},
            "weights": {},
            "experiments": {},
        },
        "params.yaml",
    )


def write_shards(folder, rows, rejected=(), levels=(0, 255), per_shard=100):
    """Writes shards of noise for the rows that are not rejected, and returns it: uint8 (N, SIZE, SIZE)."""
    folder.mkdir(parents=True)
    kept = [image for image in rows["image_id"] if image not in rejected]
    generator = np.random.default_rng(1)
    pixels = generator.integers(*levels, (len(kept), SIZE, SIZE), np.uint8, endpoint=True)
    for number, start in enumerate(range(0, len(kept), per_shard)):
        with h5py.File(folder / f"part-{number:05d}.h5", "w", libver="earliest") as shard:
            shard.create_dataset("images", data=pixels[start : start + per_shard])
    index = {
        "image_id": kept,
        "shard": [f"part-{position // per_shard:05d}.h5" for position in range(len(kept))],
        "row": pa.array([position % per_shard for position in range(len(kept))], pa.int32()),
        "source_sha256": [hashlib.sha256(image.encode()).hexdigest() for image in kept],
    }
    pq.write_table(pa.table(index), folder / "index.parquet")
    pq.write_table(pa.table({"image_id": pa.array(list(rejected), pa.string())}), folder / "rejected.parquet")
    return pixels


def write(rows, rejected=()):
    """Writes a catalog and its shards where `parameters` expects them; returns the pixels by image."""
    catalog.write(rows, nih.VOCABULARY, layout.catalog("films"))
    pixels = write_shards(layout.shards("films_16"), rows, rejected)
    return dict(zip((image for image in rows["image_id"] if image not in rejected), pixels, strict=True))


def contents(*folders: Path) -> dict[str, bytes]:
    """Path and bytes of every file in some folders."""
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="session")
def make():
    """What tests make: `make.cohort(...)`, `make.settings(...)` and the other functions above."""
    return SimpleNamespace(
        cohort=cohort,
        contents=contents,
        parameters=parameters,
        settings=settings,
        shards=write_shards,
        table=table,
        write=write,
    )


@pytest.fixture(scope="session")
def films():
    """A cohort of 300 patients; not to be changed."""
    return cohort()


@pytest.fixture(scope="session")
def ill():
    """A cohort of 300 patients in which every finding is common; not to be changed."""
    return cohort(**dict.fromkeys(nih.VOCABULARY.findings, 0.1))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
