"""A cohort with NIH's skew of films a patient, as a catalog, and as a project with shards of noise."""

from pathlib import Path
from types import SimpleNamespace

import builders
import numpy as np
import pandas as pd
import pytest

from glassbox.artifacts import catalog
from glassbox.cohorts import nih
from glassbox.params.sources import PhantomSource
from glassbox.params.splits import Split
from glassbox.phantoms import films as generated

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


def settings(**changes):
    """The parameters of a split of infiltration against healthy."""
    asked = {
        "source": "films",
        "dataset": "films_16",
        "labels": INFILTRATION,
        "official_test": True,
        "validation": 0.2,
        "balance": "none",
        "seed": 5,
    }
    return Split(**asked | changes)


def shards(rows, rejected=(), levels=(0, 255)):
    """Writes shards of noise for the rows that are not rejected; returns its pixels by image."""
    kept = [image for image in rows["image_id"] if image not in rejected]
    noise = np.random.default_rng(1).integers(*levels, (len(kept), SIZE, SIZE), np.uint8, endpoint=True)
    builders.write_shards("films_16", kept, noise, per_shard=100, rejected=rejected)
    return dict(zip(kept, noise, strict=True))


def write(rows, rejected=()):
    """Writes a catalog and its shards into the current folder; returns the pixels by image."""
    catalog.write("films", rows, nih.VOCABULARY)
    return shards(rows, rejected)


def contents(*folders: Path) -> dict[str, bytes]:
    """Path and bytes of every file in some folders."""
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="session")
def make():
    """What tests make: `make.cohort(...)`, `make.settings(...)` and the other functions above."""
    return SimpleNamespace(
        cohort=cohort,
        contents=contents,
        settings=settings,
        shards=shards,
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
