"""An audit of a project that DVC, git and MLflow recorded: what passes, what does not, and what it counts."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import pandas as pd
import pytest
import recorded
import yaml
from click.testing import CliRunner
from recorded import KEY, MODEL, git, judged
from tampering import agree, files

from glassbox import recipes
from glassbox.archives.download import download
from glassbox.artifacts import model, predictions, split
from glassbox.artifacts.experiment import resolved
from glassbox.artifacts.split import FOLDS, LABEL
from glassbox.cli import main
from glassbox.evaluation.evaluate import evaluate
from glassbox.files import sha256_file
from glassbox.lineage import tell
from glassbox.lineage.audit import audit
from glassbox.lineage.contents import weight_links
from glassbox.lineage.link import Verdict
from glassbox.lineage.trace.trace import trace
from glassbox.params.document import load
from glassbox.params.experiments import VARIANTS
from glassbox.params.weights import PretrainingWeights
from glassbox.tracking.run import mirror


def run(*words):
    """The `glassbox` command, as a user gives it."""
    return CliRunner().invoke(main, words)


# --- what passes, and what is said of it -------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, pytest.param(100, marks=pytest.mark.long)])
def test_a_project_that_nobody_touched_passes_with_every_link_verified(intact, times):
    for _ in range(times):
        done, bad = judged(again=1000)
        assert done.passed
        assert bad == {}
    assert tell.verdict(done) == f"proved ({len(done.links)} verified)"
    assert done.record.revision == git("rev-parse", "HEAD").strip()


def test_every_output_stage_and_content_of_the_chain_has_a_link(intact):
    lock = recorded.lock()
    names = {link.name for link in audit(MODEL, intact).links}
    behind = {stage: entry for stage, entry in lock.items() if stage != "compare"}
    assert names >= {out["path"] for entry in behind.values() for out in entry["outs"]}
    assert names >= {f"stage {stage}" for stage in behind}
    assert names >= {"code", f"recipe of {KEY}", f"warm_start of {KEY}", f"fine_tune of {KEY}", "weights none"}
    assert names >= {"images of split squares", f"scores of {KEY}", "commit"}
    assert sum(name.startswith("MLflow run ") for name in names) == 1


def test_a_warm_start_is_audited_with_what_made_it_and_nothing_else(intact):
    done, bad = judged(f"models/{KEY}/warm_start.keras")
    assert done.passed
    assert bad == {}
    assert not {f"stage fine_tune@{KEY}", f"stage predict@{KEY}"} & {link.name for link in done.links}


def seen():
    """One row an image and fold, by nothing but the files: the zip, the shards and the folds."""
    with zipfile.ZipFile("data/archives/films.zip") as films:
        source = {Path(name).name: hashlib.sha256(films.read(name)).hexdigest() for name in films.namelist()}
    stored = {}
    for path in sorted(Path("data/shards/films_32").glob("*.h5")):
        with h5py.File(path) as shard:
            for row, pixels in enumerate(shard["images"]):
                stored[hashlib.sha256(pixels.tobytes()).hexdigest()] = path.name, row
    rows = []
    for fold in FOLDS:
        for image in pd.read_parquet(f"data/splits/squares/{fold}.parquet").to_dict("records"):
            place = stored[image["pixels_sha256"]]
            who = image["image_id"], image["patient_id"], fold, image["draws"]
            rows.append((*who, source[image["image_id"]], image["pixels_sha256"], *place))
    return rows


def test_the_account_counts_what_the_files_hold(intact):
    record = audit(MODEL, intact).record
    path = Path("data/archives/films.zip")
    (source,) = record.archives
    with zipfile.ZipFile(path) as films:
        assert source.members == len(films.namelist())
    assert (source.kind, source.bytes, source.sha256) == ("phantom", path.stat().st_size, sha256_file(path))
    for fold in record.folds:
        rows = pd.read_parquet(f"data/splits/squares/{fold.fold}.parquet")
        assert fold.images == len(rows) > 0
        assert fold.patients == rows["patient_id"].nunique()
        assert fold.draws == rows["draws"].sum()
        assert fold.classes == {name: rows[LABEL + name].sum() for name in ("No Finding", "Mass")}
        assert record.data[f"{fold.fold}_sha256"] == sha256_file(split.path("squares", fold.fold))
    assert [fold.fold for fold in record.folds] == list(FOLDS)
    assert sum(leak.shared for leak in record.leaks) == 0
    assert record.rejected == len(pd.read_parquet("data/shards/films_32/rejected.parquet"))
    for file in (record.model, record.history, record.lineage):
        content = Path(file.path).read_bytes()
        assert file.bytes == len(content)
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    scores = json.loads(Path(f"metrics/{KEY}/scores.json").read_text())
    assert record.scores["test_clean"]["roc_auc"] == scores["test_clean"]["roc_auc"]


@pytest.mark.parametrize(("suffix", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_the_list_of_images_is_row_for_row_what_the_files_hold(intact, tmp_path, suffix, read):
    done = run("audit", MODEL, "--images", str(tmp_path / f"images.{suffix}"))
    assert done.exit_code == 0, done.output
    options = {"dtype": {"patient_id": str}} if suffix == "csv" else {}
    rows = read(tmp_path / f"images.{suffix}", **options)
    assert list(rows.drop(columns="shown").itertuples(index=False, name=None)) == seen()


def test_the_account_says_how_often_each_image_was_shown_in_training(recording, tmp_path):
    assert run("audit", MODEL, "--images", str(tmp_path / "images.parquet")).exit_code == 0
    rows = pd.read_parquet(tmp_path / "images.parquet")
    assert set(rows.loc[rows["fold"] != "train", "shown"]) == {0}
    train = rows[rows["fold"] == "train"]
    (fold, *others) = audit(MODEL, recording).record.folds
    # The trace finds the same by another way.
    for patient, theirs in train.groupby("patient_id"):
        (model_,) = trace(recording, patient=patient).sources[0].models
        assert dict(zip(theirs["image_id"], theirs["shown"], strict=True)) == {
            image: sum(phases.values()) for image, phases in model_.shown.items()
        }
    epochs, a_pass = len(pd.read_csv(f"models/{KEY}/history.csv")), fold.draws // 8 * 8
    assert fold.shown == train["shown"].sum() == epochs * a_pass
    assert (fold.shown_images, fold.shown_patients) == (len(train), train["patient_id"].nunique())
    assert [(one.shown, one.shown_images, one.shown_patients) for one in others] == [(0, 0, 0)] * 2
    said = (
        f"shown      {fold.shown_patients} patients, {fold.shown_images} images, {fold.shown} times in all epochs"
    )
    assert said in run("audit", MODEL).stdout


def test_json_says_all_of_it_in_one_document(intact):
    done = run("audit", MODEL, "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    known = audit(MODEL, intact)
    assert told["passed"] is True
    assert (told["stage"], told["revision"]) == (f"fine_tune@{KEY}", None)
    assert [link["name"] for link in told["links"]] == [link.name for link in known.links]
    assert {link["verdict"] for link in told["links"]} == {"verified"}
    assert told["record"] == known.record.model_dump(mode="json")


def test_what_does_not_pass_ends_with_status_1_and_one_line_on_standard_error(recording):
    split.path("squares", "test").unlink()
    shutil.copy(split.path("squares", "train"), split.path("squares", "test"))
    done = run("audit", MODEL)
    assert done.exit_code == 1
    assert "wrong       data/splits/squares: workspace: data/splits/squares/test.parquet has md5" in done.stdout
    assert done.stderr.startswith(f"glassbox audit: fine_tune@{KEY}: NOT proved (")
    assert done.stderr.count("\n") == 1


def test_weights_that_were_pretrained_on_people_of_the_source_are_wrong(intact):
    films = load().sources["films"]
    begun = {"kind": "pretraining", "backbone": "compact", "size": 32, "epochs": 1, "batch_size": 4, "seed": 1}
    whole, found = resolved(KEY), []
    for seed, first in ((films.seed, 1), (films.seed, 1 + films.patients), (films.seed + 1, 1)):
        others = films.model_copy(update={"seed": seed, "first_patient": first})
        made = PretrainingWeights(films=others, learning_rate=0.1, **begun)
        with recorded.inside(intact):
            (link,) = weight_links(whole.model_copy(update={"weights": made}))
        found.append(link.verdict)
    assert found == [Verdict.WRONG, Verdict.VERIFIED, Verdict.VERIFIED]


# --- what no commit holds ----------------------------------------------------------------------------------


def test_a_rebuild_on_another_kind_of_machine_passes_where_mlflows_run_says_the_same(elsewhere):
    done, bad = judged()
    assert done.passed
    assert list(bad) == ["commit"]
    assert bad["commit"].verdict == Verdict.UNCOMMITTED
    assert done.record.revision is None
    assert tell.verdict(done).startswith("proved as MLflow's run confirms, though in no commit yet (")
    assert done.record.machine["vendor"] == "Another"


def test_without_mlflows_run_a_rebuild_passes_once_it_is_committed(elsewhere):
    Path("mlflow.db").unlink()
    done, bad = judged()
    assert not done.passed
    assert set(bad) == {"MLflow", "commit"}
    git("commit", "-aqm", "Rebuild")
    assert judged()[0].passed


def test_a_run_that_was_written_from_what_is_on_disk_confirms_nothing(elsewhere):
    Path("mlflow.db").unlink()
    assert "restored run" in mirror(KEY)
    done, bad = judged()
    assert not done.passed
    assert set(bad) == {"commit"}
    git("commit", "-aqm", "Rebuild")
    assert judged()[0].passed


def test_what_an_experiment_of_dvcs_holds_is_committed(elsewhere):
    Path("mlflow.db").unlink()
    recorded.make_experiment("tried-out")
    done, bad = judged()
    assert done.passed
    assert set(bad) == {"MLflow"}
    assert done.record.revision == git("rev-parse", "refs/exps/00/11/tried-out").strip()


@pytest.mark.parametrize(
    "path",
    ["data/archives/films.zip", "data/splits/squares/test.parquet", f"predictions/{KEY}/test_clean.parquet"],
)
def test_mlflow_vouches_for_nothing_that_it_has_not_seen(elsewhere, path):
    at = next(at for at in files(recorded.lock()) if at.path == path)
    agree(at, Path(path).read_bytes() + b"more", recorded.write)
    assert not judged()[0].passed


@pytest.mark.parametrize("place", ["dvc.yaml", "params.yaml"])
def test_what_says_how_a_model_is_made_has_to_be_committed(recording, place):
    with Path(place).open("a") as stream:
        stream.write("# more\n")
    # It makes git overlook a change.
    git("update-index", "--assume-unchanged", place)
    assert git("status", "--short") == ""
    done, bad = judged()
    assert not done.passed
    assert list(bad) == ["commit"]
    assert bad["commit"].verdict == Verdict.WRONG
    assert bad["commit"].found.startswith(f"{place} differ")


def measure_the_model_before(recorded_once):
    """Undoes what was measured of the rebuilt model, as if it had been trained only."""
    lock, before = (yaml.safe_load(path.read_text()) for path in (Path("dvc.lock"), recorded_once / "dvc.lock"))
    for stage in (f"predict@{KEY}", f"evaluate@{KEY}"):
        lock["stages"][stage] = before["stages"][stage]
    recorded.write("dvc.lock", yaml.safe_dump(lock).encode())
    for path in (f"predictions/{KEY}", f"metrics/{KEY}", f"data/evaluations/{KEY}.json"):
        for file in [recorded_once / path] if path.endswith("json") else (recorded_once / path).iterdir():
            recorded.write(file.relative_to(recorded_once), file.read_bytes())
    return lock


def test_a_model_that_is_not_measured_yet_is_proved_without_scores(elsewhere, recorded_once):
    lock = measure_the_model_before(recorded_once)
    done, bad = judged()
    assert done.passed
    assert list(bad) == ["commit"]
    assert done.record.scores == {}
    # What is said of the model before is as it was committed.
    lock["stages"][f"predict@{KEY}"]["outs"][0]["size"] += 1
    recorded.write("dvc.lock", yaml.safe_dump(lock).encode())
    done, bad = judged()
    assert not done.passed
    assert bad["commit"].found.startswith(f"dvc.lock (predict@{KEY}), dvc.lock (warm_start@{KEY})")


def test_a_repository_without_a_commit_holds_nothing(recording):
    shutil.rmtree(".git")
    git("init", "-q")
    done, bad = judged()
    assert not done.passed
    assert bad["commit"].found == "git has no commit"


def test_a_pipeline_in_a_folder_has_no_say(recording):
    text = Path("dvc.yaml").read_text()
    recorded.write("docs/dvc.yaml", text.encode())
    recorded.write("dvc.yaml", text.replace("stages/split.py ${key}", "stages/split.py  ${key}").encode())
    git("add", "-A")
    git("commit", "-qm", "Add a pipeline")
    done, bad = judged()
    assert not done.passed
    assert list(bad) == ["stage split@squares"]
    assert bad["stage split@squares"].found.startswith("dvc.lock, cmd: ")


# --- a history that was forged -----------------------------------------------------------------------------


def forge_model():
    """Replaces the model by another one, and makes everything that DVC and git hold agree with that."""
    path, before = Path(MODEL), model.read_lineage(KEY)
    weights = bytearray(path.read_bytes())
    weights[len(weights) // 2] ^= 1
    recorded.write(path, bytes(weights))
    forged = model.write_lineage(KEY, "fine_tune", before.model_dump(exclude={"model_sha256", "history_sha256"}))
    said = {variant: predictions.read(KEY, variant, before.model_sha256).probabilities for variant in VARIANTS}
    predictions.write(KEY, split.shown("squares", "test"), said, forged.model_sha256)
    evaluate(KEY)
    recorded.record(track=False)
    return before, forged


def test_a_committed_history_that_agrees_with_itself_is_refuted_by_mlflows_run(recording):
    before, forged = forge_model()
    assert not judged()[0].passed
    git("commit", "-aqm", "Forge")
    done, bad = judged()
    (run,) = bad.values()
    assert not done.passed
    assert run.name.startswith("MLflow run ")
    assert f"{before.model_sha256}" in run.found
    assert f"{forged.model_sha256}" in run.expected
    # Who owns the store as well leaves no contradiction.
    Path("mlflow.db").unlink()
    assert judged()[0].passed


def test_a_record_of_another_experiment_is_none_of_this_one(recording):
    lineage = model.read_lineage(KEY).model_dump(mode="json") | {"experiment": "other"}
    made = model.made_from({key: value for key, value in lineage.items() if key != "fingerprint"})
    model.write_lineage(KEY, "fine_tune", {key: made[key] for key in made if not key.endswith("l_sha256")})
    recorded.record(track=False)
    git("commit", "-aqm", "Forge")
    done, bad = judged()
    assert not done.passed
    assert "is of experiment other" in bad[f"fine_tune of {KEY}"].found


# --- what is missing ---------------------------------------------------------------------------------------


def test_without_the_cache_the_workspace_proves_it(recording):
    shutil.rmtree(".dvc/cache")
    done, bad = judged()
    assert done.passed
    assert bad == {}


def test_without_the_workspace_the_cache_proves_it(recording):
    shutil.rmtree("data")
    shutil.rmtree("models")
    done, bad = judged()
    assert done.passed
    assert bad == {}
    assert done.record.images.equals(judged(f"{MODEL}@HEAD")[0].record.images)


def test_what_lies_nowhere_is_missing_and_named_with_the_command_that_brings_it(recording):
    shutil.rmtree(".dvc/cache")
    Path("data/catalogs/films.parquet").unlink()
    done, bad = judged()
    assert not done.passed
    assert bad["data/catalogs/films.parquet"].verdict == Verdict.MISSING
    assert bad["data/catalogs/films.parquet"].action == "run `dvc pull data/catalogs/films.parquet`"
    assert done.record is None


def test_what_only_measured_a_model_is_not_needed(recording):
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(predictions.folder(KEY))
    done, bad = judged()
    assert done.passed
    assert list(bad) == [f"predictions/{KEY}"]
    assert tell.verdict(done).endswith(f"; without predictions/{KEY})")
    assert done.record.scores == {}


def test_an_archive_of_generated_films_is_drawn_again(recording):
    shutil.rmtree(".dvc/cache")
    Path("data/archives/films.zip").unlink()
    done, bad = judged(again=5)
    assert done.passed
    assert bad == {}
    (link,) = (link for link in done.links if link.name == "data/archives/films.zip")
    assert "(generated again)" in link.found


def test_another_archive_is_missing_unless_it_is_excused(recording):
    use_archive()
    assert judged()[0].passed
    shutil.rmtree(".dvc/cache")
    Path("data/archives/films.zip").unlink()
    done, bad = judged()
    assert not done.passed
    assert bad["data/archives/films.zip"].verdict == Verdict.MISSING
    assert bad["data/archives/films.zip"].action == "run `dvc repro download@films`"
    excused, _ = judged(without_archive=True)
    assert excused.passed
    assert tell.verdict(excused).endswith("; without data/archives/films.zip)")
    assert done.record.model_dump() == excused.record.model_dump()


def use_archive():
    """Makes the source a zip on disk, which nobody can draw again."""
    own = Path("../own.zip").absolute()
    shutil.copy("data/archives/films.zip", own)
    params = recorded.document()
    layout = {"kind": "archive", "layout": "nih", "path": str(own), "sha256": sha256_file(own)}
    params["sources"]["films"] = layout
    recorded.builders.parameters(params)
    download(load().sources["films"], "films")
    recipes.write(KEY)
    recorded.record()
    git("commit", "-aqm", "Use an archive")
    own.unlink()
