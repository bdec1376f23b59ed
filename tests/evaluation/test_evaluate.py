import csv
import shutil
from pathlib import Path

import finished
import matplotlib as mpl
import numpy as np
import pytest

from glassbox.artifacts import evaluation, model, predictions, recipe
from glassbox.artifacts.damage import ArtifactError
from glassbox.code.reach import reach
from glassbox.evaluation.evaluate import FILES, evaluate
from glassbox.evaluation.predictions import EvaluationError
from glassbox.files import json_object, sha256_file
from glassbox.params.experiments import VARIANTS
from glassbox.paths import METRICS

FOLDER = evaluation.folder("compact")


def contents():
    return {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}


def table(name):
    with (FOLDER / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_an_evaluation_leaves_scores_tables_figures_and_the_record_of_them(evaluated):
    files = contents()
    assert sorted(files) == sorted(FILES)
    assert all(content.startswith(b"\x89PNG\r\n") for name, content in files.items() if name.endswith("png"))
    assert all(b"\r" not in content for name, content in files.items() if not name.endswith("png"))
    recorded = evaluation.read("compact")
    assert recorded.files == {name: sha256_file(FOLDER / name) for name in FILES}
    assert recorded.model_sha256 == model.read_lineage("compact").model_sha256


def test_a_better_network_scores_better(evaluated):
    measured = evaluation.read_scores("compact")
    assert list(measured) == list(VARIANTS)
    assert measured["test_clean"].roc_auc > measured["test_augmented"].roc_auc > 0.5


def test_what_settings_are_chosen_by_and_the_kind_of_machine_stand_beside_the_scores(evaluated):
    last = finished.epochs()[-1]
    kept = {name: last[name] for name in ("epoch", "val_loss", "val_accuracy")}
    assert json_object(FOLDER / "validation.json") == kept
    assert evaluation.read_machine("compact") == finished.MACHINE


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_neither_the_order_of_images_nor_a_users_style_shows_in_any_byte(make, tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    make.prepare(task)
    evaluate("compact")
    first = contents()
    monkeypatch.setitem(mpl.rcParams, "figure.facecolor", "black")
    make.predict(task, np.random.default_rng(8).permutation(len(make.of_task(task).images)))
    evaluate("compact")
    assert contents() == first
    assert set(first) == set(FILES)
    # What was asked is what was scored.
    assert list(evaluation.read_scores("compact")["test_clean"].classes) == list(make.of_task(task).classes)
    assert ("class" in table("roc.csv")[0]) == (task != "binary")
    assert {"not Mass"}.issubset(row["truth"] for row in table("confusion.csv")) == (task == "multi_label")


def test_figures_hold_no_version_and_no_date(evaluated):
    for path in FOLDER.glob("*.png"):
        assert not [word for word in (b"tEXt", b"tIME", b"atplotlib") if word in path.read_bytes()]


def test_the_confusion_table_counts_every_image_once(evaluated):
    for variant, measured in evaluation.read_scores("compact").items():
        rows = [row for row in table("confusion.csv") if row["variant"] == variant]
        assert sum(int(row["images"]) for row in rows) == 300
        right = sum(int(row["images"]) for row in rows if row["truth"] == row["prediction"])
        assert right / 300 == pytest.approx(measured.accuracy, abs=1e-6)


def test_the_area_under_the_roc_table_is_the_score(evaluated):
    for variant, measured in evaluation.read_scores("compact").items():
        rows = [row for row in table("roc.csv") if row["variant"] == variant]
        false, true = (
            [float(row[name]) for row in rows] for name in ("false_positive_rate", "true_positive_rate")
        )
        assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(true, false) == pytest.approx(measured.roc_auc, abs=1e-4)


def other_patient(rows):
    return rows.replace({"patient_id": {"00003": "99999"}})


def other_labels(rows):
    labels = ["label_No Finding", "label_Infiltration"]
    return rows.assign(**{name: np.roll(rows[name], 1) for name in labels})


@pytest.mark.parametrize("change", [lambda rows: rows.iloc[1:], other_patient, other_labels])
def test_variants_of_different_test_folds_are_refused(project, make, change):
    clean = predictions.folder("compact") / "test_clean.parquet"
    shutil.copy(clean, "kept.parquet")
    of = make.predicted()
    rows = change(make.fold(of))
    finished.predict("compact", rows, dict.fromkeys(VARIANTS, of.probabilities[-len(rows) :]))
    shutil.copy("kept.parquet", clean)
    with pytest.raises(EvaluationError, match="test_augmented has other images"):
        evaluate("compact")
    assert not METRICS.exists()


@pytest.mark.parametrize(
    "lost",
    [
        predictions.folder("compact") / "test_augmented.parquet",
        model.files("compact").history,
        model.files("compact").lineage,
        recipe.folder("compact") / "evaluate.json",
    ],
    ids=lambda path: path.name,
)
def test_nothing_is_written_where_something_is_missing(project, lost):
    lost.unlink()
    with pytest.raises(ArtifactError, match=f"{lost} is not there"):
        evaluate("compact")
    assert not METRICS.exists()
    assert not evaluation.path("compact").exists()


def test_what_another_model_said_is_not_scored_as_this_ones(project):
    finished.train("compact", weights=b"other weights")
    with pytest.raises(ArtifactError, match=r"test_clean\.parquet"):
        evaluate("compact")
    assert not METRICS.exists()


@pytest.mark.parametrize("stage", ["evaluate", "choose", "compare"])
def test_scoring_needs_no_tensorflow(stage):
    root = Path(__file__).parents[2]
    packages = reach(root, Path("stages") / f"{stage}.py").packages
    assert "matplotlib" in packages
    assert not {"tensorflow", "keras"}.intersection(packages)
