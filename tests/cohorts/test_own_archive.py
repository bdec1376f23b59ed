"""The page about one's own archive, followed word by word: its files, its commands, in a copy of this project."""

import io
import re
import zipfile
from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from pipeline_copy import ROOT, Project

from glassbox.artifacts import catalog, code, document, leaks, split
from glassbox.cluster import ADDRESS
from glassbox.phantoms import png

PAGE = (ROOT / "docs" / "own_archive.md").read_text()
PATIENTS = 30


def _block(language: str) -> str:
    """The only block of code in a language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return block


def _rows() -> pd.DataFrame:
    """More lines in the columns of the page's table: two films of each patient, every third one's clear."""
    columns = list(pd.read_csv(io.StringIO(_block("csv"))))
    diagnoses = ["pneumonia;effusion", "", "pneumonia"]
    lines = [
        (f"{patient:04x}-{film}.png", f"C-{patient}", 40 + patient % 30, "FM"[patient % 2], diagnoses[patient % 3])
        for patient in range(PATIENTS)
        for film in (1, 2)
    ]
    return pd.DataFrame(lines, columns=columns)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of this project in which the page was followed; it is the working directory."""
    root = tmp_path_factory.mktemp("project")
    environment = {"PYTHONPATH": str(root / "src")}
    with ExitStack() as stack:
        # A cluster in this process is there at once.
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        )
        environment[ADDRESS] = stack.enter_context(cluster).scheduler_address
        project = Project.copy(root, {}, **environment)
        (root / "src/glassbox/cohorts/clinic.py").write_text(_block("python"))
        (root / "conf/profile/clinic.yaml").write_text(_block("yaml"))
        (root / "archives").mkdir()
        random = np.random.default_rng(7)
        with zipfile.ZipFile(root / "archives" / "clinic.zip", "w") as members:
            rows = _rows()
            members.writestr("clinic/films.csv", rows.to_csv(index=False))
            for image in rows["file"]:
                members.writestr(f"clinic/films/{image}", png.encode(random.integers(0, 256, (96, 96), np.uint8)))
        done = project.run("bash", "-e", "-c", _block("bash").replace("uv run ", ""))
        assert done.returncode == 0, done.stdout
        stack.enter_context(pytest.MonkeyPatch.context()).chdir(root)
        yield project


def test_the_catalog_of_an_own_archive_says_what_its_table_says(project):
    made, _ = catalog.read("clinic")
    rows = _rows()
    assert made["image_id"].tolist() == rows["file"].tolist()
    assert made["patient_id"].tolist() == rows["case number"].tolist()
    assert made["age"].tolist() == rows["years"].tolist()
    assert [";".join(found) for found in made["findings"]] == [said or "clear" for said in rows["diagnosis"]]
    assert (made["member"] == "clinic/films/" + made["image_id"]).all()
    counts = document.read(catalog.counts_path("clinic"), "catalog@clinic")
    assert (counts["images"], counts["patients"]) == (2 * PATIENTS, PATIENTS)
    assert counts["findings"] == [
        {"finding": "clear", "images": 20},
        {"finding": "effusion", "images": 20},
        {"finding": "pneumonia", "images": 40},
    ]


def test_the_split_of_an_own_archive_has_all_folds_and_shares_no_patient(project):
    folds = {fold: split.read("clinic", fold) for fold in split.FOLDS}
    patients = {fold: set(rows["patient_id"]) for fold, rows in folds.items()}
    assert sum(map(len, folds.values())) == 2 * PATIENTS
    assert {fold: len(found) for fold, found in patients.items()} == {"train": 21, "validation": 3, "test": 6}
    assert len(set.union(*patients.values())) == PATIENTS
    labels = sum(rows[["label_clear", "label_pneumonia"]].sum() for rows in folds.values())
    assert labels.to_dict() == {"label_clear": 20, "label_pneumonia": 40}
    assert {leak.shared for leak in leaks.read("clinic")} == {0}


def test_the_catalog_of_an_own_archive_depends_on_its_own_cohort_alone(project):
    cohorts = {f"data/code/cohorts.{name}.json" for name in ("clinic", "kermany", "nih")}
    listed = {dep["path"] for dep in project.lock["catalog@clinic"]["deps"]}
    assert listed & cohorts == {"data/code/cohorts.clinic.json"}
    reached = {
        path.stem
        for path in code.path("clinic").parent.iterdir()
        if "src/glassbox/cohorts/clinic.py" in code.read(path.stem).modules
    }
    assert reached == {"cohorts.clinic"}
