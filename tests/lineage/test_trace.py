"""Who saw a patient: every model of every revision, how often it was shown, and what nobody can read any more."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from recorded_history import Record, md5

from glassbox import cli
from glassbox.artifacts import model, split
from glassbox.lineage.lock import LineageError
from glassbox.lineage.trace import index, locks, objects
from glassbox.lineage.trace.trace import trace
from glassbox.training import order
from glassbox.training.order import Stretch

#: A patient with two images that are trained on, and six others; 11 draws.
TRAIN = {"p1_0": 1, "p1_1": 3, "p2_0": 0, "p3_0": 2, "p4_0": 1, "p5_0": 1, "p6_0": 2, "p7_0": 1}
EVERY = [*TRAIN, "p8_0", "p8_1", "p9_0", "p9_1", "p0_0"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project with one split and one model that was trained on it and tested; not to be changed."""
    record = Record(tmp_path_factory.mktemp("built") / "project")
    record.catalog("films", *EVERY)
    record.split("squares", "films", TRAIN, ["p8_0", "p8_1"], ["p9_0", "p9_1"])
    record.train("one", "squares", batch_size=4)
    record.predict("one", "squares")
    record.commit()
    return record


@pytest.fixture
def record(built, tmp_path, monkeypatch):
    """The same, to be changed; it is the working directory."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = shutil.copytree(built.root, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(root)
    copied = object.__new__(Record)
    copied.root, copied.stages = root, dict(built.stages)
    return copied


def of(record, **asked):
    """The models that saw it, by experiment."""
    found = trace(record.root, **asked)
    return [model for source in found.sources for model in source.models]


def expected(draws, stretch, *, batch_size=2, seed=1):
    """Image -> how often it was shown."""
    counts = order.exposures(np.array(list(draws.values())), batch_size, seed, stretch)
    return dict(zip(draws, counts.tolist(), strict=True))


def run(*words):
    """Runs `glassbox trace`."""
    return CliRunner().invoke(cli.main, ["trace", *words])


def refused(*words):
    """The lines of the message that `glassbox trace` ends with."""
    done = run(*words)
    assert done.exit_code == 1
    return done.output.splitlines()


# --- how it was seen ---------------------------------------------------------------------------------------


def test_an_image_of_the_training_fold_was_shown_as_often_as_all_passes_drew_it(record):
    (found,) = of(record, patient="p1")
    phases = {"warm_start": Stretch(0, 1, None), "fine_tune": Stretch(1, 3, None)}
    shown = {phase: expected(TRAIN, stretch, batch_size=4) for phase, stretch in phases.items()}
    assert found.train == ("p1_0", "p1_1")
    assert found.shown == {image: {phase: shown[phase][image] for phase in phases} for image in found.train}
    assert (found.validation, found.test, found.grids) == ((), (), ())


def test_an_image_that_no_pass_shows_is_named_all_the_same(record):
    """The fold's mean and deviation, which networks standardise with, count it."""
    (found,) = of(record, image="p2_0")
    assert found.shown == {"p2_0": {"warm_start": 0, "fine_tune": 0}}


def test_validation_selects_and_a_test_counts_once_somebody_predicted(record):
    (selected,), (tested,) = of(record, patient="p8"), of(record, patient="p9")
    assert (selected.train, selected.validation, selected.test) == ((), ("p8_0", "p8_1"), ())
    assert (tested.train, tested.validation, tested.test) == ((), (), ("p9_0", "p9_1"))
    record.train("untested", "squares", weights="others")
    record.commit()
    assert [one.experiment for one in of(record, patient="p9")] == ["one"]
    # Another model of the same experiment, before anybody predicted with it.
    record.train("one", "squares", weights="again")
    record.write_lock()
    assert [one.model_md5 for one in of(record, patient="p9")] == [tested.model_md5]


def test_steps_images_and_seed_of_a_training_are_its_own(record):
    record.train("short", "squares", epochs=(2, 2), steps=(1, 9), seed=8, weights="short")
    record.train("fewer", "squares", epochs=(0, 4), images=3, weights="fewer")
    record.commit()
    found = {(one.experiment, image): one for image in TRAIN for one in of(record, image=image)}
    long, short = (expected(TRAIN, Stretch(*at), seed=8) for at in ((2, 2, 9), (0, 2, 1)))
    ids, draws = list(TRAIN), np.array(list(TRAIN.values()))
    chosen = [ids[place] for place in order.trained_on(ids, draws, 3, 1)]
    fewer = expected({image: TRAIN[image] for image in chosen}, Stretch(0, 4, None))
    for image in TRAIN:
        assert found["short", image].shown == {image: {"warm_start": short[image], "fine_tune": long[image]}}
        assert found["fewer", image].shown == {image: {"warm_start": 0, "fine_tune": fewer.get(image, 0)}}
    assert len(fewer) == 3


def test_the_cells_of_the_grid_that_an_experiment_follows_saw_it_too(record):
    grid = {"images": [2, 5], "layers": [0, 1, 2], "epochs": 2, "steps": 3}
    record.grid("layers", "one", "squares", **grid)
    record.train("follows", "squares", choice="layers", weights="chosen")
    record.commit()
    ids, draws = list(TRAIN), np.array(list(TRAIN.values()))
    total, cells = dict.fromkeys(TRAIN, 0), dict.fromkeys(TRAIN, 0)
    for images in grid["images"]:
        at = [ids[place] for place in order.trained_on(ids, draws, images, 1)]
        for image, count in expected({image: TRAIN[image] for image in at}, Stretch(0, 2, 3)).items():
            total[image] += 3 * count
            cells[image] += 3 * (count > 0)
    assert sum(total.values()) == 6 * 2 * 3 * 2
    for image in TRAIN:
        follows, one = of(record, image=image)
        (seen,) = follows.grids
        assert (seen.grid, seen.cells, seen.trained) == ("layers", 6, cells[image])
        assert (seen.shown, seen.validation) == ({image: total[image]}, ())
        assert one.grids == ()
    (seen,) = of(record, patient="p8")[0].grids
    assert (seen.trained, seen.shown, seen.validation) == (0, {}, ("p8_0", "p8_1"))


def test_a_warm_start_is_a_part_of_the_model_that_goes_on_from_it_and_else_one_by_itself(record):
    del record.stages["fine_tune@one"], record.stages["predict@one"]
    record.train("other", "squares", weights="other")
    del record.stages["fine_tune@other"]
    record.commit()
    assert [(one.experiment, one.phase) for one in of(record, patient="p1")] == [
        ("one", "fine_tune"),
        ("other", "warm_start"),
    ]
    alone = of(record, patient="p1")[1]
    assert list(alone.shown["p1_0"]) == ["warm_start"]
    assert alone.model_sha256 == model_sha256("other", "warm_start")


def model_sha256(experiment, phase="fine_tune"):
    return model.read_lineage(experiment, phase).model_sha256


# --- which revisions ---------------------------------------------------------------------------------------


def test_each_model_is_named_with_all_revisions_and_experiments_that_hold_it(record):
    first = record.git("rev-parse", "HEAD")
    old = model_sha256("one")
    record.train("two", "squares", weights="second")
    second = record.commit()
    record.git("checkout", "-q", "--detach")
    record.train("one", "squares", weights="trial")
    trial = record.commit()
    record.git("checkout", "-q", "main")
    record.experiment("brave-hare", trial)
    found = {one.model_sha256: one for one in of(record, patient="p1")}
    assert len(found) == 3
    trained = found.pop(old)
    assert (set(trained.revisions), trained.dvc_experiments) == ({first, second}, ())
    named = {one.experiment: (set(one.revisions), one.dvc_experiments) for one in found.values()}
    assert named == {"one": ({trial}, ("brave-hare",)), "two": ({second, trial}, ("brave-hare",))}


def test_what_the_workspace_alone_says_counts_and_what_a_commit_says_too_is_not_named_twice(record):
    head = record.git("rev-parse", "HEAD")
    assert of(record, patient="p1")[0].revisions == (head,)
    record.train("two", "squares", weights="second")
    record.write_lock()
    one, two = of(record, patient="p1")
    assert (one.revisions, two.revisions) == (("workspace", head), ("workspace",))


def test_a_side_of_a_merge_that_nothing_was_taken_from_is_on_record(record):
    record.git("checkout", "-q", "-b", "side")
    record.train("side", "squares", weights="side")
    side = record.commit()
    record.git("checkout", "-q", "main")
    record.git("merge", "-q", "--no-ff", "-s", "ours", "-m", "Merge", "side")
    record.git("branch", "-q", "-D", "side")
    assert {one.experiment: one.revisions for one in of(record, patient="p1")}["side"] == (side,)


def test_two_trainings_that_end_in_the_same_bytes_after_other_epochs_are_two(record):
    """Early stopping gives both the weights of their best epoch."""
    record.train("one", "squares", batch_size=4, epochs=(1, 5))
    record.commit()
    longer, shorter = of(record, patient="p1")
    assert longer.model_md5 == shorter.model_md5
    counts = [sum(one.shown["p1_1"].values()) for one in (longer, shorter)]
    assert counts[0] > counts[1]


def test_the_same_training_recorded_by_other_code_is_one(record):
    made = model.read_lineage("one").model_dump(mode="json") | {"code": {"fine_tune": "1" * 64}}
    model.write_lineage("one", "fine_tune", made)
    entry = record.stages["fine_tune@one"]
    record.ran("fine_tune@one", [dep["path"] for dep in entry["deps"]], model.files("one"))
    again = record.commit()
    (found,) = of(record, patient="p1")
    assert len(found.revisions) == 2
    assert found.revisions[0] == again


def test_a_project_in_a_folder_of_its_repository_is_traced(record, tmp_path):
    outer = Record(tmp_path / "outer")
    shutil.copytree(record.root, outer.root / "inner", ignore=shutil.ignore_patterns(".git"))
    outer.git("add", "-A")
    outer.git("commit", "-qm", "Begin")
    found = trace(outer.root / "inner", patient="p1")
    assert [one.experiment for one in found.sources[0].models] == ["one"]
    assert found.unread == []


# --- sources, and ids that nobody knows --------------------------------------------------------------------


@pytest.fixture
def two_sources(record):
    """Another source with a patient of the same name."""
    record.catalog("others", "p1_0", "p1_7")
    record.split("rounds", "others", {"p1_0": 1, "p1_7": 1})
    record.train("rounds", "rounds", weights="rounds")
    record.commit()
    return record


def test_an_id_that_several_sources_have_is_listed_for_each(two_sources):
    found = trace(two_sources.root, patient="p1").sources
    assert [(of.source, of.images) for of in found] == [("films", ("p1_0", "p1_1")), ("others", ("p1_0", "p1_7"))]
    assert [[one.experiment for one in of.models] for of in found] == [["one"], ["rounds"]]
    narrowed = trace(two_sources.root, patient="p1", source="others").sources
    assert narrowed == found[1:]
    with pytest.raises(LineageError, match=r"no source 'othres' is on record\n.*one of: films, others"):
        trace(two_sources.root, patient="p1", source="othres")


def test_who_is_in_a_catalog_and_in_no_fold_was_seen_by_nobody(record):
    found = trace(record.root, image="p0_0")
    assert [(of.images, of.models) for of in found.sources] == [(("p0_0",), ())]
    assert found.unread == []
    done = run("--patient", "p0")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "patient p0 of source films: 1 image; seen by 0 of 1 models on record" in done.stdout


@pytest.mark.parametrize(
    ("words", "near"),
    [(["--image", "p1_9"], "p1_0, p1_1"), (["--patient", "p55"], "p5"), (["--patient", "nobody"], None)],
)
def test_an_unknown_id_is_refused_with_the_nearest_that_are_known(record, words, near):
    lines = refused(*words)
    kind = words[0].removeprefix("--")
    said = f"glassbox trace: no catalog and no fold on record names {kind} '{words[1]}' of source films"
    assert lines[0] == said
    count = len(EVERY) if kind == "image" else len({image.partition("_")[0] for image in EVERY})
    assert lines[1].startswith(f"  expected: one of {count} ids{', the nearest: ' + near if near else ''}")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "neither --patient nor --image is given"), (["--patient=p1", "--image=p1_0"], "both given")],
)
def test_a_patient_or_an_image_is_asked_for(record, words, said):
    lines = refused(*words)
    assert said in lines[0]
    assert len(lines) == 3


def test_outside_of_a_project_there_is_one_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused("--patient", "p1")[0].startswith("glassbox trace: git log fails")
    subprocess.run(["git", "init", "-q"], check=True)
    assert refused("--patient", "p1")[0].startswith("glassbox trace: there is no dvc.lock in ")


def test_what_cannot_be_read_of_another_source_is_no_matter(two_sources, request):
    request.getfixturevalue("lost")
    assert len(trace(two_sources.root, patient="p1").unread) == 1
    assert trace(two_sources.root, patient="p1", source="others").unread == []


# --- what cannot be read -----------------------------------------------------------------------------------


@pytest.fixture
def lost(record):
    """A second model on a second split, of which the training fold is nowhere; its MD5."""
    record.split("gone", "films", {"p3_0": 1, "p4_0": 1}, ["p1_0"])
    record.train("gone", "gone", weights="gone")
    record.commit()
    path = record.root / split.path("gone", "train")
    digest = md5(path)
    path.unlink()
    record.cached(digest).unlink()
    return digest


def test_a_fold_that_nobody_has_is_named_with_its_models_and_absence_is_not_claimed(record, lost):
    found = trace(record.root, patient="p1")
    (unread,) = found.unread
    assert unread.found.startswith(f"data/splits/gone/train.parquet (md5 {lost}) has no whole copy")
    assert "`dvc repro split@gone` makes it again" in unread.action
    assert unread.models == (f"fine_tune@gone (md5 {md5(record.root / model.files('gone').model)})",)
    assert unread.revisions == (record.git("rev-parse", "HEAD"),)
    gone, one = found.sources[0].models
    assert (gone.train, gone.validation) == ((), ("p1_0",)), "what can be read is said"
    assert one.shown
    done = run("--patient", "p1")
    assert done.exit_code == 1
    assert "one, split squares" in done.stdout
    assert done.stderr.startswith("glassbox trace: some of what is on record could not be read: more models may")
    assert unread.found in done.stderr
    assert f"; not all could be read: {unread.found}" in refused("--patient", "p77")[0]


def test_a_project_that_cannot_be_written_is_traced_and_nothing_is_kept(record, monkeypatch):
    before = trace(record.root, patient="p1").sources
    shutil.rmtree(record.root / "work")
    # Where not even root makes a folder.
    (record.root / "work").symlink_to("/proc/self")
    assert trace(record.root, patient="p1").sources == before
    (record.root / "work").unlink()
    (record.root / "work" / "trace").mkdir(parents=True)
    monkeypatch.setattr(index.os, "access", lambda *_: False)
    assert trace(record.root, patient="p1").sources == before
    assert list((record.root / "work" / "trace").iterdir()) == []


def test_a_copy_in_the_workspace_or_in_a_remote_will_do(record, lost, tmp_path):
    remote = tmp_path / "remote"
    place = remote / "files" / "md5" / lost[:2] / lost[2:]
    place.parent.mkdir(parents=True)
    # In the same bytes, since the writer gives the same ones again.
    record.split("gone", "films", {"p3_0": 1, "p4_0": 1}, ["p1_0"])
    shutil.move(record.cached(lost), place)
    assert trace(record.root, patient="p3").unread == []
    shutil.rmtree("work")
    (record.root / split.path("gone", "train")).unlink()
    assert len(trace(record.root, patient="p3").unread) == 1
    (record.root / ".dvc" / "config").write_text(f"['remote \"far\"']\n    url = {remote}\n")
    found = trace(record.root, patient="p3")
    assert found.unread == []
    assert [one.experiment for one in found.sources[0].models] == ["gone", "one"]
    assert not record.cached(lost).exists(), "a trace fetches nothing into the cache"


@pytest.mark.parametrize("where", ["cache", "remote"])
def test_a_damaged_copy_is_no_copy(record, lost, tmp_path, where):
    place = record.cached(lost)
    if where == "remote":
        place = tmp_path / "remote" / "files" / "md5" / lost[:2] / lost[2:]
        (record.root / ".dvc" / "config").write_text(f"['remote \"far\"']\n    url = {tmp_path / 'remote'}\n")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes((record.root / split.path("gone", "validation")).read_bytes())
    (unread,) = trace(record.root, patient="p1").unread
    assert f"that in {where if where == 'remote' else 'the cache'}" in unread.found.replace("remote far", "remote")


def test_a_remote_that_cannot_be_reached_is_named(record, lost):
    (record.root / ".dvc" / "config").write_text("['remote \"far\"']\n    url = s3://somewhere\n")
    (unread,) = trace(record.root, patient="p1").unread
    assert "remote far cannot be used: " in unread.found


def test_a_lost_history_leaves_a_model_listed_and_its_count_unknown(record):
    at = record.root / model.files("one").history
    record.cached(md5(at)).unlink()
    at.unlink()
    found = trace(record.root, patient="p1")
    (one,) = found.sources[0].models
    assert (one.train, one.shown, one.model_sha256, one.runs) == (("p1_0", "p1_1"), None, None, ())
    assert found.unread[0].found.startswith("models/one/history.csv (md5 ")
    done = run("--patient", "p1")
    assert done.exit_code == 1
    assert "how often is not known" in done.stdout


def test_what_another_version_recorded_is_named(record):
    entry = record.stages["fine_tune@one"]
    whole = dict(entry)
    entry = entry | {"deps": [dep for dep in entry["deps"] if "split" not in dep["path"]]}
    entry["deps"].append({"path": "data/splits/squares", "hash": "md5", "md5": f"{'a' * 32}.dir", "size": 9})
    entry["outs"] = [out | {"md5": "b" * 32} if out["path"].endswith(".keras") else out for out in entry["outs"]]
    record.stages["fine_tune@one"] = entry
    old = record.commit()
    record.stages["fine_tune@one"] = whole
    record.commit()
    found = trace(record.root, patient="p1")
    assert (len(found.sources[0].models), found.recorded) == (1, 2)
    (unread,) = found.unread
    name = f"fine_tune@one (md5 {'b' * 32})"
    assert unread.found.startswith(
        f"recorded by another version, as {name}: it read data/splits/squares, of which"
    )
    assert (unread.models, unread.revisions) == ((name,), (old,))


def test_a_dvc_lock_that_cannot_be_parsed_is_named(record):
    (record.root / "dvc.lock").write_text("stages: [")
    record.git("commit", "-qam", "Break")
    broken = record.git("rev-parse", "HEAD")
    record.commit("Mend")
    (unread,) = trace(record.root, patient="p1").unread
    assert unread.found.startswith("dvc.lock of git's object ")
    assert unread.action == f"look at `git show {broken[:10]}:dvc.lock`"


def test_a_shallow_clone_proves_no_absence(record, tmp_path):
    record.train("two", "squares", weights="second")
    record.commit()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{record.root}", clone], check=True)
    shutil.copytree(record.root / ".dvc" / "cache", clone / ".dvc" / "cache")
    (unread,) = trace(clone, patient="p1").unread
    assert unread.action == "run `git fetch --unshallow`"


def test_a_choice_that_nothing_on_record_made_is_named(record):
    record.grid("layers", "one", "squares", images=[2], layers=[0], epochs=1, steps=1)
    record.train("follows", "squares", choice="layers", weights="chosen")
    del record.stages["choose@layers"]
    record.commit()
    (unread,) = trace(record.root, patient="p1").unread
    assert unread.found.startswith("fine_tune@follows follows a choice among cells (md5 ")


# --- the index ---------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch):
    """Nothing but the index may be read."""

    def refuse(*_):
        pytest.fail("read what the index has")

    monkeypatch.setattr(objects.Objects, "place", refuse)
    monkeypatch.setattr(locks, "contents", refuse)
    monkeypatch.setattr(order, "passes", refuse)


def files(root):
    return sorted(path for path in (root / "work" / "trace").rglob("*") if path.is_file())


def test_a_second_trace_reads_the_index_alone(record, request):
    first = [trace(record.root, patient=patient) for patient in ("p1", "p8", "p9")]
    request.getfixturevalue("alone")
    assert [trace(record.root, patient=patient) for patient in ("p1", "p8", "p9")] == first


def test_the_index_answers_after_the_folds_are_lost(record):
    first = trace(record.root, patient="p1")
    shutil.rmtree(record.root / ".dvc" / "cache")
    shutil.rmtree("data")
    assert trace(record.root, patient="p1") == first


def test_a_damaged_index_is_made_anew(record):
    first = trace(record.root, patient="p1")
    kept = {path: path.read_bytes() for path in files(record.root)}
    assert len(kept) == 2 + 4 + 1, "locks and trainings, catalog and folds, exposures"
    damages = (
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-90] + b"?" + content[-89:],
    )
    for damage in damages:
        for path, content in kept.items():
            path.write_bytes(damage(content))
        assert trace(record.root, patient="p1") == first
        assert {path: path.read_bytes() for path in files(record.root)} == kept


def test_what_other_code_indexed_is_thrown_away(record):
    first = trace(record.root, patient="p1")
    (folder,) = (record.root / "work" / "trace").iterdir()
    other = folder.rename(folder.with_name("0" * 16))
    assert trace(record.root, patient="p1") == first
    assert not other.exists()
    assert folder.is_dir()


# --- what is printed ---------------------------------------------------------------------------------------


def test_the_table_says_what_json_does(record):
    record.grid("layers", "one", "squares", images=[8], layers=[0, 1], epochs=1, steps=5)
    record.train("follows", "squares", choice="layers", weights="chosen")
    commit = record.commit()
    record.experiment("brave-hare", commit)
    document = json.loads(run("--patient", "p1", "--json").stdout)
    assert (document["patient"], document["complete"], document["models_on_record"]) == ("p1", True, 2)
    follows, one = document["sources"][0]["models"]
    counts = [one["shown"][image][phase] for phase in ("warm_start", "fine_tune") for image in one["train"]]
    done = run("--patient", "p1")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "patient p1 of source films: 2 images; seen by 2 of 2 models on record"
    at = lines.index(f"one, split squares, sha256 {one['model_sha256'][:10]}")
    warm, fine = sum(counts[:2]), sum(counts[2:])
    assert lines[at + 1 : at + 4] == [
        f"  trained on   2 images, shown {warm + fine} times (warm_start {warm}, fine_tune {fine})",
        f"  revisions    {commit[:10]}, {one['revisions'][1][:10]}",
        "  experiments  brave-hare",
    ]
    (grid,) = follows["grids"]
    cells = f"2 of 2 cells trained on 2 images, shown {sum(grid['shown'].values())} times"
    assert f"  selected by  grid layers; {cells}" in lines
    assert lines[-1] == "MLflow: there is no MLflow store"
    assert document["mlflow"] == "there is no MLflow store"
