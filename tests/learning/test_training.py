"""From data to predictions, through the functions of the stages."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from glassbox import layout
from glassbox.errors import ModelError
from glassbox.files import sha256_file
from glassbox.learning import acquire, augment, backbones, history
from glassbox.learning.checkpoint import Checkpoint
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.predict import predict
from glassbox.learning.record import record, unfinished
from glassbox.learning.warm_start import warm_start
from glassbox.shards.read import Images

ANOTHER_PROCESS = """\
from pathlib import Path
import keras
from glassbox import params
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.predict import predict
from glassbox.learning.record import record
from glassbox.learning.warm_start import warm_start
parsed = params.load(Path("params.yaml"))
warm_start(parsed, "compact")
keras.utils.clear_session()  # as in the process of the next stage
fine_tune(parsed, "compact", record(parsed, "compact"), lambda row: None)
predict(parsed, "compact")
"""


#: Goes on with the fine-tuning, and dies as by `kill -9` once an epoch is told of.
KILLED = """\
import os
import signal
import sys
from pathlib import Path
from glassbox import params
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.record import record
parsed = params.load(Path("params.yaml"))

def on_epoch(row):
    if row["epoch"] == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

fine_tune(parsed, "compact", record(parsed, "compact"), on_epoch)
"""


@pytest.fixture(scope="module")
def params(make, given):
    """Parameters with the experiment `compact`, and one that trains in neither phase."""
    still = {"warm_start": make.phase(epochs=0).model_dump(), "fine_tune": make.phase(epochs=0).model_dump()}
    compact = make.experiment(weights="given")
    return make.parameters(given, compact=compact, still=make.experiment(**still), random=make.experiment())


@pytest.fixture(scope="module")
def given(compact_weights):
    """Weights that were trained elsewhere, as far as a network knows: below them a head alone can learn."""
    path, sha256 = compact_weights
    return {"given": {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}}


@pytest.fixture(scope="module")
def trained(make, data, params, tmp_path_factory):
    """A project in which `compact` was trained and has predicted, and the rows it told of."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(data / "data", folder / "data")
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        acquire.make(params, "given")
        return folder, make.train(params, "compact")


@pytest.fixture
def copied(trained, tmp_path, monkeypatch):
    """A copy of that project with its data and its warm start, inside which the test runs."""
    shutil.copytree(trained[0] / "data", tmp_path / "data")
    shutil.copy(trained[0] / "params.yaml", tmp_path)
    (tmp_path / layout.models("compact")).mkdir(parents=True)
    for name in (layout.INITIAL_MODEL, layout.INITIAL_HISTORY):
        shutil.copy(trained[0] / layout.models("compact") / name, tmp_path / layout.models("compact"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inside(trained, monkeypatch):
    """The same, with the test running inside it."""
    monkeypatch.chdir(trained[0])
    return trained


def test_warm_start_and_fine_tuning_leave_two_models_their_histories_and_a_record(inside):
    assert sorted(path.name for path in layout.models("compact").iterdir()) == [
        "history.csv",
        "lineage.json",
        "model.keras",
        "warm_start.csv",
        "warm_start.keras",
    ]


def test_epochs_are_numbered_on_from_the_warm_start_into_the_fine_tuning(inside):
    warm = history.read(layout.models("compact") / "warm_start.csv")
    whole = history.read(layout.models("compact") / "history.csv")
    assert [(row["epoch"], row["phase"]) for row in whole] == [
        (0, "warm_start"),
        (1, "fine_tune"),
        (2, "fine_tune"),
    ]
    assert whole[:1] == warm
    assert inside[1] == whole, "each epoch is told of, those of the warm start first"


def arrays(name, experiment="compact"):
    """The weights of a model on disk, by layer."""
    model = keras.models.load_model(layout.models(experiment) / name, compile=False)
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def test_a_given_backbone_rests_in_the_warm_start_and_trains_in_the_fine_tuning(inside, compact_weights):
    given = backbones.standalone("compact")
    given.load_weights(compact_weights[0])
    warm, tuned = arrays(layout.INITIAL_MODEL), arrays(layout.MODEL)
    for layer in given.layers:
        if layer.weights:
            assert pickle.dumps(warm[layer.name]) == pickle.dumps(layer.get_weights())
            assert not np.array_equal(tuned[layer.name][0], warm[layer.name][0])
    assert not np.array_equal(tuned["head_output"][0], warm["head_output"][0])


def test_a_random_backbone_trains_in_the_warm_start_too(project, params):
    warm_start(params, "random")
    # A moving mean of zero is a new layer's.
    assert arrays(layout.INITIAL_MODEL, "random")["block1_bn"][2].any()


def test_the_network_standardises_by_its_splits_statistics(inside):
    statistics = json.loads((layout.split("squares") / "statistics.json").read_text())
    layer = keras.models.load_model(layout.models("compact") / "model.keras").get_layer("pixels_standardise")
    assert layer.scale == pytest.approx(1 / statistics["std"])
    assert layer.offset == pytest.approx(-statistics["mean"] / statistics["std"])


def run(code, *arguments):
    """Runs code in a process of its own, in the current folder."""
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=False, capture_output=True, env=environment
    )


def test_another_process_makes_the_same_bytes(make, copied, trained):
    shutil.rmtree(copied / "models")
    assert run(ANOTHER_PROCESS).returncode == 0
    found = {folder: make.hashes(copied / folder) for folder in ("models", "predictions")}
    assert found == {folder: make.hashes(trained[0] / folder) for folder in ("models", "predictions")}
    assert [len(files) for files in found.values()] == [5, 2]


def test_a_fine_tuning_killed_after_an_epoch_is_finished_by_another_process_with_the_same_bytes(
    make, copied, trained
):
    assert run(KILLED, "1").returncode == -signal.SIGKILL
    assert sorted(path.name for path in layout.models("compact").iterdir()) == [
        "warm_start.csv",
        "warm_start.keras",
    ]
    assert [path.suffix for path in put_aside()] == [".npz"]
    finished = run(KILLED, "99")
    assert finished.returncode == 0
    assert finished.stdout.decode().count("fine_tune epoch 2:") == 1
    assert make.hashes(copied / "models") == make.hashes(trained[0] / "models")
    assert put_aside() == []


def put_aside():
    """The files of phases that are not finished."""
    return [path for path in layout.WORK.rglob("*") if path.is_file()]


def test_a_finished_training_leaves_nothing_put_aside(inside):
    assert put_aside() == []


# --- predictions -------------------------------------------------------------------------------------------


def predictions(variant):
    return pd.read_parquet(layout.predictions("compact") / f"{variant}.parquet")


@pytest.mark.parametrize("variant", layout.VARIANTS)
def test_predictions_have_the_test_folds_rows_in_its_order(inside, variant):
    split = pq.read_table(layout.split("squares") / "split.parquet").to_pandas()
    columns = ["image_id", "patient_id", "label_No Finding", "label_Mass"]
    expected = split.loc[split["fold"] == "test", columns].reset_index(drop=True)
    found = predictions(variant)
    pd.testing.assert_frame_equal(found[columns], expected)
    assert list(found) == [*columns, "probability_No Finding", "probability_Mass"]
    probabilities = found[["probability_No Finding", "probability_Mass"]]
    assert set(probabilities.dtypes) == {np.dtype("float32")}
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("variant", layout.VARIANTS)
def test_each_prediction_is_of_the_image_that_its_row_names(inside, params, variant):
    model = keras.models.load_model(layout.models("compact") / "model.keras", compile=False)
    found = predictions(variant)
    images = Images(layout.shards("films_32"))
    films = np.concatenate([images.gather(images.positions([image])) for image in found["image_id"]])
    if variant == "test_augmented":
        drawn = augment.draw(params.experiments["compact"].augmentation, len(films), (4, 2))
        moved = augment.apply(films, drawn)
        assert (moved != films).any(axis=(1, 2)).all()
        films = moved
    expected = model.predict_on_batch(films)[:, 1]
    np.testing.assert_allclose(found["probability_Mass"], expected, atol=1e-5)
    # Rows in another order would have been noticed.
    assert np.abs(found["probability_Mass"] - np.roll(expected, 1)).max() > 1e-3


# --- the record --------------------------------------------------------------------------------------------


def test_the_record_names_the_files_on_disk_by_their_sha256(inside, params):
    lineage = json.loads((layout.models("compact") / "lineage.json").read_text())
    assert lineage == {
        **record(params, "compact"),
        "model_sha256": sha256_file(layout.models("compact") / "model.keras"),
    }
    split = layout.split("squares")
    assert lineage["data"] | {"shards_sha256": None, "weights_sha256": None} == {
        "archive_sha256": "a" * 64,
        "catalog_sha256": "c" * 64,
        "shards_sha256": None,
        "split_sha256": sha256_file(split / "split.parquet"),
        "statistics_sha256": sha256_file(split / "statistics.json"),
        "weights_sha256": None,
    }
    assert lineage["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert set(lineage["packages"]) == {
        *("tensorflow", "keras", "numpy", "opencv-python-headless", "scikit-image", "h5py")
    }
    assert lineage["machine"]["backend"] == keras.backend.backend()


@pytest.fixture(scope="module")
def with_changes(make, given):
    """The parameters of `compact` with changes."""
    return lambda **changes: make.parameters(given, compact=make.experiment(**{"weights": "given"} | changes))


def test_what_is_said_of_an_experiment_or_done_after_training_is_no_part_of_its_fingerprint(
    with_changes, inside, params
):
    fingerprint = record(params, "compact")["fingerprint"]
    for changes in (
        {"title": "Another title"},
        {"departures": ["Another seed."]},
        {"published": {"source": "somebody", "scores": {"test_clean": {"roc_auc": 0.9}}}},
        {"evaluation": {"resamples": 999, "seed": 1}},
    ):
        assert record(with_changes(**changes), "compact")["fingerprint"] == fingerprint


def test_every_setting_of_a_training_is_part_of_its_fingerprint(make, with_changes, inside, params):
    changes = (
        {"fine_tune": make.phase(epochs=2, optimizer={"learning_rate": 0.004}).model_dump()},
        {"fine_tune": make.phase(epochs=3).model_dump()},
        {"fine_tune": make.phase(epochs=2, steps_per_epoch=2).model_dump()},
        {"warm_start": make.phase(freeze="nothing").model_dump()},
        {"warm_start": make.phase(freeze={"all_but_last": 3}).model_dump()},
        {"training": {"seed": 5, "batch_size": 16}},
        {"training": {"seed": 4, "batch_size": 16, "precision": "mixed_bfloat16"}},
        {"training": {"seed": 4, "batch_size": 16, "class_weight": "balanced"}},
        {"augmentation": {"horizontal_flip": True}},
        {"model": {"backbone": "compact", "normalise": "standardise", "dropout": 0.3}},
    )
    found = {record(with_changes(**change), "compact")["fingerprint"] for change in changes}
    assert len(found | {record(params, "compact")["fingerprint"]}) == len(changes) + 1


def test_a_record_says_what_was_frozen_as_it_ran(inside, params):
    """Above random weights nothing was, whatever the recipe says."""
    frozen = {
        name: record(params, name)["params"]["warm_start"]["freeze"] for name in ("compact", "random", "still")
    }
    assert frozen == {"compact": "everything", "random": "nothing", "still": "nothing"}


def append(path):
    path.write_bytes(path.read_bytes() + b"\0")


def another_shard(path):
    origin = json.loads(path.read_text())
    origin["shards"]["part-00001.h5"] = "0" * 64
    path.write_text(json.dumps(origin))


CHANGES = {
    "shards/films_32/origin.json": another_shard,
    "splits/squares/split.parquet": append,
    "splits/squares/statistics.json": append,
    f"weights/given/{layout.WEIGHTS}": append,
}


@pytest.mark.parametrize("path", CHANGES)
def test_one_other_byte_in_the_data_is_another_fingerprint(copied, params, path):
    before = record(params, "compact")["fingerprint"]
    CHANGES[path](copied / "data" / path)
    assert record(params, "compact")["fingerprint"] != before


# --- what is put aside -------------------------------------------------------------------------------------


def place(params, phase="fine_tune"):
    """Where an unfinished phase of `compact` is put aside."""
    with pytest.raises(InterruptedError), unfinished(params, "compact", phase) as path:
        raise InterruptedError
    return path


def test_a_phase_is_put_aside_at_one_place_that_its_end_clears(copied, params):
    assert place(params) == place(params)
    assert place(params, "warm_start").parent != place(params).parent
    path = place(params)
    path.parent.mkdir(parents=True)
    path.touch()
    assert place(params) == path
    assert put_aside() == [path], "what ends in an error leaves it"
    with unfinished(params, "compact", "fine_tune") as again:
        assert (again, again.exists()) == (path, True)
    assert put_aside() == []


def test_another_recipe_or_other_data_code_or_machine_is_another_place(
    copied, params, with_changes, monkeypatch, tmp_path
):
    found = [place(params), place(with_changes(training={"seed": 5, "batch_size": 16}))]
    append(copied / "data" / "splits" / "squares" / "split.parquet")
    found.append(place(params))
    with monkeypatch.context() as patch:
        patch.setattr("glassbox.learning.record.machine", lambda: {"cores": 77})
        found.append(place(params))
    with monkeypatch.context() as patch:
        patch.setattr("glassbox.learning.record.__file__", str(tmp_path / "record.py"))
        (tmp_path / "augment.py").write_text("# Another way to vary images.")
        found.append(place(params))
    append(layout.models("compact") / layout.INITIAL_MODEL)
    found.append(place(params))
    assert len(set(found)) == 6
    assert place(params, "warm_start").parent == layout.WORK / "warm_start" / "compact"


def test_what_another_recipe_put_aside_is_not_taken_up(copied, params, with_changes, make):
    def stop(row):
        if row["phase"] == "fine_tune":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fine_tune(params, "compact", record(params, "compact"), stop)
    assert len(put_aside()) == 1
    told, other = [], with_changes(fine_tune=make.phase(optimizer={"learning_rate": 0.004}).model_dump())
    fine_tune(other, "compact", record(other, "compact"), told.append)
    assert [(row["phase"], row["learning_rate"]) for row in told] == [("warm_start", 0.003), ("fine_tune", 0.004)]
    assert put_aside() == []


# --- no epochs, and refusals -------------------------------------------------------------------------------


def test_without_epochs_the_initial_network_is_the_model(project, params):
    warm_start(params, "still")
    fine_tune(params, "still", record(params, "still"), lambda row: pytest.fail(f"told of {row}"))
    predict(params, "still")
    folder = layout.models("still")
    assert history.read(folder / "history.csv") == []
    initial, final = (
        keras.models.load_model(folder / name, compile=False).get_weights()
        for name in ("warm_start.keras", "model.keras")
    )
    assert pickle.dumps(initial) == pickle.dumps(final)


@pytest.mark.parametrize("phase", ["warm_start", "fine_tune"])
def test_a_training_that_fails_leaves_no_model(make, project, phase):
    wild = make.phase(freeze="nothing", optimizer={"name": "sgd", "learning_rate": 1e30}).model_dump()
    calm = make.phase(epochs=0).model_dump()
    params = make.parameters(compact=make.experiment(**{"warm_start": calm, "fine_tune": calm, phase: wild}))
    with pytest.raises(ModelError, match=f"{phase}, epoch 0, step [0-9]: the loss is"):
        make.train(params, "compact")
    left = {"warm_start": [], "fine_tune": ["warm_start.csv", "warm_start.keras"]}[phase]
    assert sorted(path.name for path in layout.models("compact").glob("*")) == left
    assert not layout.predictions("compact").exists()


def test_a_training_that_fails_in_a_later_epoch_keeps_what_was_put_aside_and_leaves_no_model(
    copied, params, monkeypatch
):
    """The network is spoilt once the first epoch was put aside."""
    kept, save = [], Checkpoint.save

    def spoil(checkpoint, model, stopping, rows):
        save(checkpoint, model, stopping, rows)
        kept.append(checkpoint.path.read_bytes())
        model.get_layer("head_output").bias.assign([np.nan, 0.0])

    monkeypatch.setattr(Checkpoint, "save", spoil)
    with pytest.raises(ModelError, match="fine_tune, epoch 2, step 0: the loss is nan"):
        fine_tune(params, "compact", record(params, "compact"), lambda _: None)
    assert [path.read_bytes() for path in put_aside()] == kept
    assert sorted(path.name for path in layout.models("compact").iterdir()) == [
        "warm_start.csv",
        "warm_start.keras",
    ]
