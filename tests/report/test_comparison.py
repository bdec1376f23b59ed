import base64
import csv
import re
import subprocess

import builders
import finished
import pytest

from glassbox.artifacts import evaluation, leaks, recipe
from glassbox.artifacts.damage import ArtifactError
from glassbox.evaluation.evaluate import evaluate
from glassbox.paths import METRICS, REPORTS
from glassbox.report.comparison import ReportError, compare, other_machines
from glassbox.report.results import FIGURES, Result

ELSEWHERE = finished.MACHINE | {"vendor": "GenuineIntel", "vector_extensions": "avx avx2 avx512f fma"}
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
    measured = evaluation.read_scores("compact")
    assert [float(row["roc_auc"]) for row in rows()] == [each.roc_auc for each in measured.values()]
    for figure in FIGURES:
        drawn = (evaluation.folder("compact") / f"{figure}.png").read_bytes()
        assert base64.b64encode(drawn).decode() in PAGE.read_text()


@pytest.mark.parametrize(
    "file",
    [
        evaluation.folder("resnet") / "scores.json",
        evaluation.folder("resnet") / "roc.png",
        evaluation.machine_path("resnet"),
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


def test_stale_results_are_refused_by_name_and_nothing_is_written(project):
    for name in ("densenet", "empty"):
        (METRICS / name).mkdir()
    with pytest.raises(ReportError) as refusal:
        compare(project)
    assert f"git rm -r {METRICS / 'densenet'} {METRICS / 'empty'}" in refusal.value.action
    assert not REPORTS.exists()


# --- kinds of machine --------------------------------------------------------------------------------------


def said():
    return other_machines([Result.read(key) for key in ("vgg", "resnet")])


def git(*arguments):
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def committed(project):
    """A project whose measured files are in git; returns its parameters."""
    git("init", "-q")
    git("add", "metrics")
    git("commit", "-qm", "Measured")
    return project


def test_models_of_the_same_kind_of_machine_are_not_talked_about(committed):
    assert said() == ""


def test_another_kind_is_named_with_its_models_and_with_what_differs(committed, make):
    make.evaluated("resnet", trained_on=ELSEWHERE)
    assert said().startswith("resnet: trained on another kind of machine")
    assert "(vendor, vector extensions)" in said()
    assert "vgg" not in said()
    assert said().endswith("`glassbox rebuild models/resnet/model.keras@HEAD` says by how much")


def test_the_comparison_says_so_on_standard_error(committed, make, capsys):
    compare(committed)
    assert capsys.readouterr().err == ""
    make.evaluated("vgg", trained_on=ELSEWHERE)
    compare(committed)
    assert capsys.readouterr().err == f"{said()}\n"


def test_a_model_that_is_not_committed_yet_is_compared_with_nothing(project, make):
    git("init", "-q")
    assert said() == ""
    git("commit", "-q", "--allow-empty", "-m", "Start")
    assert said() == ""


def test_without_git_nothing_is_said(committed, make, monkeypatch):
    make.evaluated("vgg", trained_on=ELSEWHERE)
    monkeypatch.setenv("PATH", "")
    assert said() == ""


@pytest.mark.parametrize("content", ["<<<<<<< HEAD", "[]", '{"machine": 3}', '{"machine": [{}]}'])
def test_what_was_committed_by_mistake_is_compared_with_nothing(committed, make, content):
    evaluation.machine_path("vgg").write_text(content)
    git("commit", "-qam", "A mistake")
    make.evaluated("vgg", trained_on=ELSEWHERE)
    assert said() == ""
