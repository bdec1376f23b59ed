"""A small project: two experiments on two splits of one archive, built once by the real stages under the real DVC.

`one` is trained on the films with Infiltration or a Mass, from random weights; `other` on those with Pneumonia or
a Nodule, from pretrained ones, as a grid of two cells says. Films of other findings are in neither split.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from builders import experiment, phase
from cut_zip import without
from pipeline_copy import Project

from glassbox.cohorts.nih import VOCABULARY
from glassbox.files import sha256_file
from glassbox.params.document import checked
from glassbox.params.sources import PhantomSource
from glassbox.params.splits import Split
from glassbox.phantoms import archive as phantom
from glassbox.phantoms import films
from glassbox.splits.build import select

if TYPE_CHECKING:
    from pathlib import Path

# In every process of the project: writes down, at its end, what it imported of us.
_SPY = """
import atexit, json, os, sys

def _write():
    files = [getattr(module, "__file__", None) for name, module in list(sys.modules.items())
             if name == "glassbox" or name.startswith("glassbox.")]
    path = os.path.join(os.environ["IMPORTS"], f"{os.getpid()}.json")
    with open(path, "w") as stream:
        json.dump({"command": sys.argv, "files": [file for file in files if file]}, stream)

if "IMPORTS" in os.environ:
    atexit.register(_write)
"""
SOURCE = PhantomSource(
    kind="phantom",
    layout="nih",
    seed=11,
    patients=120,
    size=64,
    prevalence=dict.fromkeys(("Infiltration", "Mass", "Pneumonia", "Nodule"), 0.14),
)
SPLITS = {"one": ("Infiltration", "Mass"), "other": ("Pneumonia", "Nodule")}


@dataclass
class Archives:
    """Three zips in NIH's layout.

    Attributes:
        base: What the project is built from.
        more: The same and one film more, of a patient in the test fold of `other`.
        less: `more` without a patient, who is in the training fold of `one` and nowhere else.
        film: The film that `base` lacks.
        patient: Who `less` lacks.
    """

    base: Path
    more: Path
    less: Path
    film: str
    patient: str

    def source(self, name: str) -> dict[str, object]:
        """The block of a source that is one of the zips."""
        return _source(getattr(self, name))


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    folder = tmp_path_factory.mktemp("archives")
    cohort = films.cohort(SOURCE)
    rows = pd.DataFrame(
        {
            "image_id": [film.image_id for film in cohort],
            "patient_id": [str(film.patient) for film in cohort],
            "findings": [list(film.findings) or [VOCABULARY.absence] for film in cohort],
            "sex": [film.sex for film in cohort],
            "official_split": [film.official_split for film in cohort],
        }
    )
    one, other = (select(rows, Split(**split), VOCABULARY, name) for name, split in _splits().items())
    test = other[other["fold"] == "test"]
    several = test["patient_id"].map(test["patient_id"].value_counts()) > 1
    film = test.loc[several & ~test["image_id"].isin(one["image_id"]), "image_id"].iloc[0]
    train = one[one["fold"] == "train"]
    patient = train.loc[~train["patient_id"].isin(other["patient_id"]), "patient_id"].iloc[0]

    more = folder / "more.zip"
    phantom.write(SOURCE, more)
    made = Archives(folder / "base.zip", more, folder / "less.zip", film, patient)
    without({film}, more, made.base)
    without(set(rows.loc[rows["patient_id"] == patient, "image_id"]), more, made.less)
    return made


def _splits() -> dict[str, dict[str, object]]:
    return {
        name: {
            "source": "films",
            "dataset": "films_32",
            "labels": {"task": "binary", "positive": positive, "negative": negative},
            "official_test": True,
            "validation": 0.25,
            "balance": "none",
            "seed": 5,
        }
        for name, (positive, negative) in SPLITS.items()
    }


def _source(archive: Path) -> dict[str, object]:
    """The block of a source that is a zip on disk."""
    return {"kind": "archive", "layout": "nih", "path": str(archive), "sha256": sha256_file(archive)}


def _params(archive: Path) -> dict[str, object]:
    pretraining = {
        "kind": "pretraining",
        "backbone": "compact",
        "films": {"kind": "phantom", "layout": "nih", "seed": 7, "patients": 5, "first_patient": 9001, "size": 32},
        "size": 32,
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 0.002,
        "seed": 7,
    }
    one = experiment(
        split="one", choice={"file": "conf/choice/none.json"}, warm_start=phase(epochs=0), fine_tune=phase()
    )
    other = one | {"split": "other", "weights": "phantoms", "choice": {"file": "data/choices/tiny.json"}}
    tiny = {"experiment": "other", "split": "other", "weights": "phantoms", "images": [16], "all_but_last": [0, 1]}
    values = {
        "profile": "tiny",
        "sources": {"films": _source(archive)},
        "withdrawn": {"films": []},
        "datasets": {"films_32": {"source": "films", "size": 32, "shard_images": 64}},
        "splits": _splits(),
        "weights": {"none": {"kind": "none"}, "phantoms": pretraining},
        "experiments": {"one": one, "other": other},
        "grids": {"tiny": tiny | {"epochs": 1, "steps_per_epoch": 1, "choices": 1}},
    }
    # DVC wants every parameter that a stage names to be there, defaults too, as `glassbox use` leaves them.
    return checked(values, "params.yaml").model_dump(mode="json")


@dataclass
class Built(Project):
    """The project, with what its processes imported and its console showed when it was built."""

    imports: Path | None = None
    console: str = ""

    def imported(self) -> dict[str, set[str]]:
        """Stage -> the files of the project that its processes imported."""
        found: dict[str, set[str]] = {}
        for path in self.imports.iterdir():
            record = json.loads(path.read_text())
            script = self.root / record["command"][0]
            if script.parent.name == "stages":
                files = {path for path in map(self._inside, record["files"]) if path}
                found.setdefault(script.stem, set()).update(files)
        return found

    def _inside(self, file: str) -> str:
        # A process that runs in a copy of the project, as the queue's do, imports the copy's.
        return file[file.index("src/glassbox") :]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, archives: Archives) -> Built:
    """The project, built and committed."""
    imports = tmp_path_factory.mktemp("imports")
    project = Built.copy(tmp_path_factory.mktemp("project"), _params(archives.base), IMPORTS=str(imports))
    project.imports = imports
    (project.root / "src" / "sitecustomize.py").write_text(_SPY)
    project.console = project.dvc("repro")
    project.git("add", "-A")
    project.git("commit", "-qm", "Build")
    return project
