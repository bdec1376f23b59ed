import csv
import json
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import yaml

from glassbox import layout
from glassbox.assessment.evaluate import evaluate
from glassbox.errors import ReportError

STAGE = Path(__file__).parents[2] / "stages" / "evaluate.py"
FILES = [
    "confusion.csv",
    "confusion.png",
    "curves.png",
    "roc.csv",
    "roc.png",
    "scores.json",
    "validation.json",
]


@pytest.fixture
def params(make):
    return make.parameters()


def measured():
    return json.loads((layout.metrics("compact") / "scores.json").read_text())


def test_evaluate_writes_scores_tables_and_figures(project, params, make):
    evaluate(params, "compact")
    files = make.contents(layout.metrics("compact"))
    assert list(files) == FILES
    assert all(content.startswith(b"\x89PNG\r\n") for name, content in files.items() if name.endswith("png"))
    assert all(b"\r" not in content for name, content in files.items() if not name.endswith("png"))
    assert list(measured()) == ["test_clean", "test_augmented"]
    assert measured()["test_clean"]["roc_auc"] > measured()["test_augmented"]["roc_auc"]


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_a_question_of_many_classes_is_evaluated_to_the_same_files(project, make, task):
    make.predict(task)
    evaluate(make.parameters(task), "compact")
    files = make.contents(layout.metrics("compact"))
    assert list(files) == FILES
    assert next(iter(measured()["test_clean"]["classes"])) == "No Finding"
    assert len(measured()["test_clean"]["classes"]) == 15
    assert measured()["test_clean"]["classes"]["Pneumothorax"]["roc_auc"] is None
    assert measured()["test_clean"]["roc_auc"] > measured()["test_augmented"]["roc_auc"]
    evaluate(make.parameters(task), "compact")
    assert make.contents(layout.metrics("compact")) == files


def test_the_split_says_what_was_asked(project, make):
    make.predict("single_label")
    evaluate(make.parameters("multi_label"), "compact")
    sigmoids = measured()["test_clean"]["accuracy"]
    evaluate(make.parameters("single_label"), "compact")
    assert measured()["test_clean"]["accuracy"] < sigmoids
    with pytest.raises(ReportError, match="asks for binary"):
        evaluate(make.parameters("binary"), "compact")


def test_two_runs_give_the_same_bytes(project, params, make, monkeypatch):
    evaluate(params, "compact")
    first = make.contents(layout.metrics("compact"))
    # Neither a user's own style nor the order of the rows may show.
    monkeypatch.setitem(mpl.rcParams, "figure.facecolor", "black")
    for variant in layout.VARIANTS:
        predictions = make.predicted(signal={"test_clean": 2.0, "test_augmented": 1.0}[variant])
        order = np.random.default_rng(8).permutation(300)
        shuffled = {name: column[order] for name, column in make.columns(predictions).items()}
        make.write(layout.predictions("compact") / f"{variant}.parquet", shuffled)
    evaluate(params, "compact")
    assert make.contents(layout.metrics("compact")) == first


def test_figures_hold_no_version_and_no_date(project, params):
    evaluate(params, "compact")
    for path in layout.metrics("compact").glob("*.png"):
        assert not [word for word in (b"tEXt", b"tIME", b"atplotlib") if word in path.read_bytes()]


def test_the_confusion_table_counts_every_image_once(project, params):
    evaluate(params, "compact")
    rows = list(csv.DictReader((layout.metrics("compact") / "confusion.csv").open()))
    assert len(rows) == 8
    for variant in layout.VARIANTS:
        of_variant = [row for row in rows if row["variant"] == variant]
        assert sum(int(row["images"]) for row in of_variant) == 300
        right = sum(int(row["images"]) for row in of_variant if row["truth"] == row["prediction"])
        assert right / 300 == pytest.approx(measured()[variant]["accuracy"], abs=1e-6)


def test_the_area_under_the_roc_table_is_the_score(project, params):
    evaluate(params, "compact")
    rows = list(csv.DictReader((layout.metrics("compact") / "roc.csv").open()))
    for variant in layout.VARIANTS:
        corners = np.array(
            [
                (float(row["false_positive_rate"]), float(row["true_positive_rate"]))
                for row in rows
                if row["variant"] == variant
            ]
        )
        assert corners[0].tolist() == [0, 0]
        assert corners[-1].tolist() == [1, 1]
        area = np.trapezoid(corners[:, 1], corners[:, 0])
        assert area == pytest.approx(measured()[variant]["roc_auc"], abs=1e-4)


def test_the_change_of_phase_shows_in_the_curves(project, params):
    evaluate(params, "compact")
    with_change = (layout.metrics("compact") / "curves.png").read_bytes()
    history = layout.models("compact") / "history.csv"
    history.write_text(history.read_text().replace("warm_start", "fine_tune"))
    evaluate(params, "compact")
    assert (layout.metrics("compact") / "curves.png").read_bytes() != with_change


def test_an_untrained_model_has_curves_that_say_so(project, params):
    history = layout.models("compact") / "history.csv"
    history.write_text(history.read_text().splitlines(keepends=True)[0])
    evaluate(params, "compact")
    assert (layout.metrics("compact") / "curves.png").stat().st_size > 1000


def test_variants_of_other_combinations_of_labels_are_refused(project, make):
    make.predict("multi_label")
    path = layout.predictions("compact") / "test_augmented.parquet"
    columns = make.columns(make.of_task("multi_label"))
    columns["label_Hernia"][5] ^= 1
    make.write(path, columns)
    with pytest.raises(ReportError, match="test_augmented has other images"):
        evaluate(make.parameters("multi_label"), "compact")


def other_patient(columns):
    columns["patient_id"] = np.where(columns["patient_id"] == "00003", "99999", columns["patient_id"])
    return columns


def other_labels(columns):
    for name in ("label_No Finding", "label_Infiltration"):
        columns[name] = np.roll(columns[name], 1)
    return columns


@pytest.mark.parametrize(
    "change",
    [lambda columns: {name: column[1:] for name, column in columns.items()}, other_patient, other_labels],
    ids=["an image fewer", "another patient", "labels of other images"],
)
def test_variants_of_different_test_sets_are_refused(project, params, make, change):
    columns = change(make.columns(make.predicted()))
    make.write(layout.predictions("compact") / "test_augmented.parquet", columns)
    with pytest.raises(ReportError, match="test_augmented has other images"):
        evaluate(params, "compact")
    assert not layout.METRICS.exists()


@pytest.mark.parametrize(
    "lost",
    [layout.predictions("compact") / "test_augmented.parquet", layout.models("compact") / "history.csv"],
)
def test_nothing_is_written_when_an_input_is_missing(project, params, lost):
    lost.unlink()
    with pytest.raises(ReportError, match=f"{lost} is not there"):
        evaluate(params, "compact")
    assert not layout.METRICS.exists()


@pytest.fixture
def params_on_disk(project, params):
    layout.PARAMS.write_text(yaml.safe_dump(params.model_dump(mode="json")))


def test_evaluate_runs_without_tensorflow(params_on_disk):
    program = (
        "import sys; from glassbox import layout, params; from glassbox.assessment.evaluate import evaluate; "
        "evaluate(params.load(layout.PARAMS), 'compact'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert measured()["test_clean"]["images"] == 300
    heavy = {"tensorflow", "keras", "mlflow", "distributed", "matplotlib.pyplot"}
    assert not heavy & set(done.stdout.split())


def test_the_stage_refuses_an_unknown_experiment(params_on_disk, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["evaluate", "compcat"])
    with pytest.raises(SystemExit, match=r"experiments\.compcat"):
        runpy.run_path(str(STAGE), run_name="__main__")
