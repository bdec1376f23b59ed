import csv
import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from glassbox import layout
from glassbox.errors import ReportError
from glassbox.report.comparison import compare

STAGE = Path(__file__).parents[2] / "stages" / "compare.py"
TABLE, PAGE = layout.REPORTS / "comparison.csv", layout.REPORTS / "comparison.html"


def rows():
    return list(csv.DictReader(TABLE.open(newline="")))


def test_the_table_has_a_row_for_every_experiment_and_variant_in_the_order_of_params(project):
    compare(project, "")
    assert [(row["experiment"], row["variant"]) for row in rows()] == [
        ("vgg", "test_clean"),
        ("vgg", "test_augmented"),
        ("resnet", "test_clean"),
        ("resnet", "test_augmented"),
    ]
    assert [float(row["roc_auc"]) for row in rows()] == [0.8, 0.7, 0.9, 0.85]
    assert rows()[0]["classes_Infiltration_recall"] == "0.75"


def test_published_figures_stand_beside_the_measured_ones(project):
    compare(project, "")
    header = TABLE.read_text().splitlines()[0].split(",")
    assert header[header.index("roc_auc") + 1] == "roc_auc_published"
    assert [row["roc_auc_published"] for row in rows()] == ["0.76", "0.6", "", ""]
    assert "average_precision_published" not in header


def test_a_published_metric_that_is_not_measured_is_shown_as_such(project):
    compare(project, "")
    assert [(row["specificity"], row["specificity_published"]) for row in rows()] == [("", "")] * 2 + [
        ("", "0.61"),
        ("", ""),
    ]


def test_baselines_stand_in_the_table_too(project):
    compare(project, "")
    assert rows()[0]["majority_accuracy"] == "0.5"
    assert rows()[0]["accuracy_minus_majority"] == "0.22"
    assert (rows()[2]["loss"], rows()[2]["loss_published"]) == ("1.234567", "2.43")
    assert rows()[0]["classes_Infiltration_prevalence"] == "0.5"


def test_a_class_without_an_area_has_an_empty_cell(project, make):
    path = layout.metrics("vgg") / "scores.json"
    measured = json.loads(path.read_text())
    measured["test_clean"]["classes"]["Infiltration"]["roc_auc"] = None
    path.write_text(json.dumps(measured))
    compare(project, "")
    assert [row["classes_Infiltration_roc_auc"] for row in rows()] == ["", "0.8", "0.8", "0.8"]


def test_two_runs_give_the_same_bytes_and_hold_no_path(project, tmp_path):
    compare(project, "")
    first = TABLE.read_bytes(), PAGE.read_bytes()
    compare(project, "")
    assert (TABLE.read_bytes(), PAGE.read_bytes()) == first
    assert b"\r" not in b"".join(first)
    for content in first:
        assert str(tmp_path).encode() not in content
        assert not re.search(rb"/(home|tmp|root|work)/", content)


@pytest.mark.parametrize("name", ["scores.json", "roc.png", "confusion.png", "curves.png"])
def test_an_experiment_without_results_is_refused(project, name):
    (layout.metrics("resnet") / name).unlink()
    with pytest.raises(ReportError, match=f"metrics/resnet/{name} is not there") as refusal:
        compare(project, "")
    assert "dvc repro" in refusal.value.action
    assert not layout.REPORTS.exists()


@pytest.mark.parametrize("name", ["scores.json", "roc.png", "confusion.png", "curves.png"])
def test_an_experiment_with_broken_results_is_refused(project, name):
    (layout.metrics("resnet") / name).write_text("<<<<<<< HEAD")
    with pytest.raises(ReportError, match=f"metrics/resnet/{name} is no"):
        compare(project, "")
    assert not layout.REPORTS.exists()


def test_params_without_experiments_are_refused(project, make, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(ReportError, match="no experiment"):
        compare(make.parameters(), "")


def test_the_stage_takes_no_key(project, monkeypatch):
    layout.PARAMS.write_text(yaml.safe_dump(project.model_dump(mode="json")))
    monkeypatch.setattr(sys, "argv", ["compare"])
    runpy.run_path(str(STAGE), run_name="__main__")
    assert PAGE.exists()
