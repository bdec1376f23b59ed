"""The page about one's own archive, followed word by word: its files, its commands, in a copy of this project."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pipeline_copy import ROOT, copy_pipeline

from glassbox.sources import png

PAGE = (ROOT / "docs" / "own_archive.md").read_text()
PATIENTS = 60


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
    """A copy of this project in which the page was followed."""
    root = tmp_path_factory.mktemp("project")
    copy_pipeline(root)
    (root / "src/glassbox/cohorts/clinic.py").write_text(_block("python"))
    (root / "conf/profile/clinic.yaml").write_text(_block("yaml"))
    (root / "archives").mkdir()
    random = np.random.default_rng(7)
    with zipfile.ZipFile(root / "archives" / "clinic.zip", "w") as members:
        rows = _rows()
        members.writestr("clinic/films.csv", rows.to_csv(index=False))
        for image in rows["file"]:
            members.writestr(f"clinic/films/{image}", png.encode(random.integers(0, 256, (96, 96), np.uint8)))
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root / "src"),
        # Six processes import pandas: the first compiles it for all.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(root / "work" / "bytecode"),
        "DVC_NO_ANALYTICS": "1",
    }
    for commands in ("git init -q && dvc init -q", _block("bash").replace("uv run ", "")):
        done = subprocess.run(
            ["bash", "-e", "-c", commands],
            cwd=root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_the_catalog_of_an_own_archive_says_what_its_table_says(project):
    made = pd.read_parquet(project / "data/catalogs/clinic.parquet")
    rows = _rows()
    assert made["image_id"].tolist() == rows["file"].tolist()
    assert made["patient_id"].tolist() == rows["case number"].tolist()
    assert made["age"].tolist() == rows["years"].tolist()
    assert [";".join(found) for found in made["findings"]] == [said or "clear" for said in rows["diagnosis"]]
    assert (made["member"] == "clinic/films/" + made["image_id"]).all()
    counts = json.loads((project / "metrics/catalogs/clinic.json").read_text())
    assert (counts["images"], counts["patients"]) == (2 * PATIENTS, PATIENTS)
    assert counts["findings"] == [
        {"finding": "clear", "images": 40},
        {"finding": "effusion", "images": 40},
        {"finding": "pneumonia", "images": 80},
    ]


def test_the_split_of_an_own_archive_has_all_folds_and_shares_no_patient(project):
    split = pd.read_parquet(project / "data/splits/clinic/split.parquet")
    assert len(split) == 2 * PATIENTS
    assert split.groupby("patient_id")["fold"].nunique().max() == 1
    patients = split.groupby("fold")["patient_id"].nunique()
    assert patients.to_dict() == {"test": 12, "train": 43, "validation": 5}
    labels = split[["label_clear", "label_pneumonia"]].sum()
    assert labels.to_dict() == {"label_clear": 40, "label_pneumonia": 80}
    leaks = json.loads((project / "metrics/splits/clinic/leakage.json").read_text())
    assert {row["shared"] for row in leaks} == {0}


def test_the_catalog_of_an_own_archive_depends_on_its_own_cohort_alone(project):
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    listed = {dep["path"] for dep in lock["catalog@clinic"]["deps"]}
    cohorts = {"clinic", "kermany", "nih"}
    assert {name for name in cohorts if f"src/glassbox/cohorts/{name}.py" in listed} == {"clinic"}
    assert not {dep["path"] for dep in lock["split@clinic"]["deps"]} & {
        f"src/glassbox/cohorts/{name}.py" for name in cohorts
    }
