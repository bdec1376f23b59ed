import base64
import csv
import re

import builders
import finished
import pytest

from glassbox.artifacts import evaluation, leaks, machine, recipe, scores
from glassbox.artifacts.damage import ArtifactError
from glassbox.assessment.errors import ReportError
from glassbox.assessment.evaluate import evaluate
from glassbox.paths import REPORTS
from glassbox.report.comparison import compare
from glassbox.report.results import FIGURES

TABLE, PAGE = REPORTS / "comparison.csv", REPORTS / "comparison.html"


def rows():
    with TABLE.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_has_a_row_for_every_experiment_and_variant_in_the_order_of_params(project):
    compare(project)
    assert [(row["experiment"], row["variant"]) for row in rows()] == [
        ("vgg", "test_clean"),
        ("vgg", "test_augmented"),
        ("resnet", "test_clean"),
        ("resnet", "test_augmented"),
    ]
    assert [float(row["roc_auc"]) for row in rows()] == [0.8, 0.7, 0.9, 0.85]
    assert {(row["dataset"], row["split"]) for row in rows()} == {("films_32", "squares")}
    first = rows()[0]
    assert first["classes_Mass_recall"] == "0.75"
    assert (first["majority_accuracy"], first["accuracy_minus_majority"]) == ("0.5", "0.22")


def test_published_figures_stand_beside_the_measured_ones(project):
    compare(project)
    header = TABLE.read_text().splitlines()[0].split(",")
    assert header[header.index("roc_auc") + 1] == "roc_auc_published"
    assert [row["roc_auc_published"] for row in rows()] == ["0.76", "0.6", "", ""]
    assert "average_precision_published" not in header
    assert (rows()[2]["loss"], rows()[2]["loss_published"]) == ("1.234567", "2.43")
    assert (rows()[2]["specificity"], rows()[2]["specificity_published"]) == ("", "0.61")  # Nobody measured it.


def test_a_class_without_an_area_has_an_empty_cell(project, make):
    of_class = make.measured().classes["Mass"].model_dump()
    make.evaluated("vgg", classes={"No Finding": of_class, "Mass": of_class | {"roc_auc": None}})
    compare(project)
    assert [row["classes_Mass_roc_auc"] for row in rows()] == ["", "", "0.8", "0.8"]


def test_two_runs_give_the_same_bytes_and_hold_no_path(project, tmp_path):
    compare(project)
    first = TABLE.read_bytes(), PAGE.read_bytes()
    compare(project)
    assert (TABLE.read_bytes(), PAGE.read_bytes()) == first
    assert b"\r" not in b"".join(first)
    for content in first:
        assert str(tmp_path).encode() not in content
        assert not re.search(rb"/(home|tmp|root|work)/", content)


def test_what_an_evaluation_measured_and_drew_is_what_is_shown(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    params = builders.resolve(builders.document(experiments={"compact": builders.experiment()}))
    make.split("squares")
    finished.write_split()
    finished.train("compact")
    finished.predict("compact")
    evaluate("compact")
    compare(params)
    measured = scores.read("compact")
    assert [float(row["roc_auc"]) for row in rows()] == [each.roc_auc for each in measured.values()]
    for figure in FIGURES:
        drawn = (evaluation.folder("compact") / f"{figure}.png").read_bytes()
        assert base64.b64encode(drawn).decode() in PAGE.read_text()


@pytest.mark.parametrize(
    "file",
    [
        evaluation.folder("resnet") / "scores.json",
        evaluation.folder("resnet") / "roc.png",
        machine.path("resnet"),
        recipe.folder("resnet") / "experiment.json",
        leaks.folder("squares") / "leakage.json",
    ],
    ids=lambda path: path.name,
)
@pytest.mark.parametrize("content", [None, "<<<<<<< HEAD"], ids=["missing", "damaged"])
def test_without_whole_results_nothing_is_written(project, file, content):
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(ArtifactError, match=str(file)) as refusal:
        compare(project)
    assert "dvc repro" in refusal.value.action
    assert not REPORTS.exists()


def test_params_without_experiments_are_refused(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReportError, match="no experiment"):
        compare(builders.parameters(make.parameters({})))
