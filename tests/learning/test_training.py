"""From data to predictions, through the functions of the stages."""

import json
import os
import pickle
import shutil
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
from glassbox.learning import augment, history
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.predict import predict
from glassbox.learning.record import record
from glassbox.learning.warm_start import warm_start
from glassbox.shards.read import Images

ANOTHER_PROCESS = """\
import sys
from pathlib import Path
from glassbox import params
from glassbox.learning.fine_tune import fine_tune
from glassbox.learning.predict import predict
from glassbox.learning.record import record
from glassbox.learning.warm_start import warm_start
parsed = params.load(Path("params.yaml"))
warm_start(parsed, "compact")
fine_tune(parsed, "compact", record(parsed, "compact"), lambda row: None)
predict(parsed, "compact")
"""


@pytest.fixture(scope="module")
def params(make):
    """Parameters with the experiment `compact`, and one that trains in neither phase."""
    still = {"warm_start": make.phase(epochs=0).model_dump(), "fine_tune": make.phase(epochs=0).model_dump()}
    return make.parameters(compact=make.experiment(), still=make.experiment(**still))


@pytest.fixture(scope="module")
def trained(make, data, params, tmp_path_factory):
    """A project in which `compact` was trained and has predicted, and the rows it told of."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(data / "data", folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, make.train(params, "compact")


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


def test_the_backbone_rests_in_the_warm_start_and_trains_in_the_fine_tuning(make, inside, params):
    warm, tuned = (
        keras.models.load_model(layout.models("compact") / name, compile=False)
        for name in ("warm_start.keras", "model.keras")
    )
    for name in ("block1_conv", "block6_bn", "head_output"):
        one, other = (model.get_layer(name).get_weights()[0] for model in (warm, tuned))
        assert not np.array_equal(one, other)
    # A moving mean of zero is a new layer's.
    assert not warm.get_layer("block1_bn").moving_mean.numpy().any()
    assert tuned.get_layer("block1_bn").moving_mean.numpy().any()


def test_the_network_standardises_by_its_splits_statistics(inside):
    statistics = json.loads((layout.split("squares") / "statistics.json").read_text())
    layer = keras.models.load_model(layout.models("compact") / "model.keras").get_layer("pixels_standardise")
    assert layer.scale == pytest.approx(1 / statistics["std"])
    assert layer.offset == pytest.approx(-statistics["mean"] / statistics["std"])


def test_another_process_makes_the_same_bytes(make, inside, params, data, tmp_path):
    shutil.copytree(data / "data", tmp_path / "data")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": "77"},
    )
    found = {folder: make.hashes(tmp_path / folder) for folder in ("models", "predictions")}
    assert found == {folder: make.hashes(inside[0] / folder) for folder in ("models", "predictions")}
    assert [len(files) for files in found.values()] == [5, 2]


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
        moved = augment.warp(films, augment.matrices(drawn, 32))
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
    assert set(lineage["packages"]) == {"tensorflow", "keras", "numpy", "opencv-python-headless", "h5py"}


def with_changes(make, **changes):
    return make.parameters(compact=make.experiment(**changes))


def test_what_is_said_of_an_experiment_or_done_after_training_is_no_part_of_its_fingerprint(make, inside, params):
    fingerprint = record(params, "compact")["fingerprint"]
    for changes in (
        {"title": "Another title"},
        {"published": {"source": "somebody", "scores": {"test_clean": {"roc_auc": 0.9}}}},
        {"evaluation": {"resamples": 999, "seed": 1}},
    ):
        assert record(with_changes(make, **changes), "compact")["fingerprint"] == fingerprint


def test_every_setting_of_a_training_is_part_of_its_fingerprint(make, inside, params):
    changes = (
        {"fine_tune": make.phase(epochs=2, optimizer={"learning_rate": 0.004}).model_dump()},
        {"fine_tune": make.phase(epochs=3).model_dump()},
        {"warm_start": make.phase(freeze="nothing").model_dump()},
        {"training": {"seed": 5, "batch_size": 16}},
        {"augmentation": {"horizontal_flip": True}},
        {"model": {"backbone": "compact", "normalise": "standardise", "dropout": 0.3}},
    )
    found = {record(with_changes(make, **change), "compact")["fingerprint"] for change in changes}
    assert len(found | {record(params, "compact")["fingerprint"]}) == len(changes) + 1


@pytest.mark.parametrize(
    "path", ["shards/films_32/part-00001.h5", "splits/squares/split.parquet", "weights/none/none"]
)
def test_one_other_byte_in_the_data_is_another_fingerprint(inside, params, tmp_path, monkeypatch, path):
    before = record(params, "compact")["fingerprint"]
    monkeypatch.chdir(shutil.copytree(inside[0] / "data", tmp_path / "data").parent)
    assert record(params, "compact")["fingerprint"] == before
    with (tmp_path / "data" / path).open("ab") as stream:
        stream.write(b"\0")
    assert record(params, "compact")["fingerprint"] != before


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
    params = with_changes(make, **{"warm_start": calm, "fine_tune": calm, phase: wild})
    with pytest.raises(ModelError, match=f"{phase}, epoch 0: the loss is"):
        make.train(params, "compact")
    left = {"warm_start": [], "fine_tune": ["warm_start.csv", "warm_start.keras"]}[phase]
    assert sorted(path.name for path in layout.models("compact").glob("*")) == left
    assert not layout.predictions("compact").exists()
