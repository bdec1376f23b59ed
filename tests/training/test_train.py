"""From data to predictions, through the functions of the stages."""

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import builders
import h5py
import numpy as np
import pandas as pd
import pytest

from glassbox.artifacts import code, model, predictions, shards, split, weights
from glassbox.artifacts.code import Code
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.shards import Images
from glassbox.files import sha256_file
from glassbox.networks import backbones, keras_file
from glassbox.networks.errors import ModelError
from glassbox.networks.weights import make as make_weights
from glassbox.params.experiments import VARIANTS, Augmentation
from glassbox.paths import MODELS, PREDICTIONS, WORK
from glassbox.training import augment, lineage
from glassbox.training.checkpoint import Checkpoint
from glassbox.training.predict import predict

WARM = ["warm_start.csv", "warm_start.json", "warm_start.keras"]
TUNED = ["history.csv", "lineage.json", "model.keras"]


@pytest.fixture(scope="module")
def given(compact_weights):
    """Weights that were trained elsewhere, as far as a network knows: below them a head alone can learn."""
    path, sha256 = compact_weights
    return {"given": {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}}


@pytest.fixture(scope="module")
def resolve(make, given):
    """Writes the recipes of `compact` with changes, and of an experiment that trains in neither phase."""
    still = {"warm_start": builders.phase(epochs=0), "fine_tune": builders.phase(epochs=0)}

    def resolve(**changes):
        compact = builders.experiment(**{"weights": "given"} | changes)
        return make.resolve(given, compact=compact, still=builders.experiment(**still))

    return resolve


@pytest.fixture(scope="module")
def trained(make, data, resolve, tmp_path_factory):
    """A project in which `compact` was trained and has predicted, and the epochs it reported."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(data, folder)
    with contextlib.chdir(folder):
        make_weights(resolve().weights["given"], "given")
        return folder, make.train("compact")


@pytest.fixture
def inside(trained, monkeypatch):
    """The same, with the test running inside it; not to be changed."""
    monkeypatch.chdir(trained[0])
    return trained


@pytest.fixture
def copied(trained, tmp_path, monkeypatch):
    """A copy of that project, inside which the test runs."""
    shutil.copytree(trained[0], tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


@pytest.fixture
def warmed(copied):
    """A copy in which only the warm start was done."""
    for name in TUNED:
        (model.folder("compact") / name).unlink()
    shutil.rmtree(PREDICTIONS)


@pytest.fixture
def untrained(copied):
    """A copy of its data alone."""
    shutil.rmtree(MODELS)
    shutil.rmtree(PREDICTIONS)


def left():
    """The files of the models of `compact`."""
    return sorted(path.name for path in model.folder("compact").glob("*"))


def put_aside():
    """The files of phases that are not finished."""
    return [path for path in WORK.rglob("*") if path.is_file()]


def test_warm_start_and_fine_tuning_leave_two_models_their_histories_and_records(inside):
    assert left() == sorted(WARM + TUNED)
    assert put_aside() == []


def test_epochs_are_numbered_on_from_the_warm_start_into_the_fine_tuning(inside):
    warm = model.read_history(model.read_lineage("compact", "warm_start"), "warm_start")
    whole = model.read_history(model.read_lineage("compact"))
    assert [(row["epoch"], row["phase"]) for row in whole] == [
        (0, "warm_start"),
        (1, "fine_tune"),
        (2, "fine_tune"),
    ]
    assert whole[:1] == warm
    assert inside[1] == whole, "each epoch is reported, those of the warm start first"


def arrays(phase):
    """The weights of a model on disk, by layer."""
    found = keras_file.load(model.files("compact", phase).model)
    return {layer.name: layer.get_weights() for layer in found.layers if layer.weights}


def test_a_given_backbone_rests_in_the_warm_start_and_trains_in_the_fine_tuning(inside, compact_weights):
    given = backbones.standalone("compact")
    given.load_weights(compact_weights[0])
    warm, tuned = arrays("warm_start"), arrays("fine_tune")
    for layer in given.layers:
        if layer.weights:
            assert pickle.dumps(warm[layer.name]) == pickle.dumps(layer.get_weights())
            assert not np.array_equal(tuned[layer.name][0], warm[layer.name][0])
    assert not np.array_equal(tuned["head_output"][0], warm["head_output"][0])


def test_the_network_standardises_by_its_splits_statistics(inside):
    statistics = split.read_statistics("squares")
    layer = keras_file.load(model.files("compact").model).get_layer("pixels_standardise")
    assert layer.scale == pytest.approx(1 / statistics.deviation)
    assert layer.offset == pytest.approx(-statistics.mean / statistics.deviation)


# --- the same bytes ----------------------------------------------------------------------------------------

#: Goes on with the fine-tuning on some cores, and dies as by `kill -9` once an epoch was put aside.
TUNE = """\
import os
import signal
import sys
import time
from pathlib import Path
cores, last = map(int, sys.argv[1:])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
from glassbox.artifacts import recipe
from glassbox.training import lineage
from glassbox.training.train import train

def on_epoch(epoch):
    if epoch["epoch"] == last:
        while not list(Path("work/fine_tune/compact").glob("[!.]*.npz")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

settings = recipe.phase("compact", "fine_tune")
train(settings, "fine_tune", lineage.origin(settings, "fine_tune"), on_epoch)
"""


def elsewhere(program, *arguments):
    """Runs a program in a process of its own, in the current folder; its exit status."""
    environment = os.environ | {"PYTHONHASHSEED": "77"}
    words = map(str, arguments)
    return subprocess.run([sys.executable, "-c", program, *words], check=False, env=environment).returncode


def test_a_fine_tuning_killed_on_one_core_is_finished_on_all_with_the_same_bytes(make, trained, warmed):
    assert elsewhere(TUNE, 1, 1) == -signal.SIGKILL
    assert left() == WARM
    assert [path.suffix for path in put_aside()] == [".npz"]
    reported = []
    make.train_phase("compact", "fine_tune", reported.append)
    assert reported == trained[1]
    assert make.hashes(MODELS) == hashes_of(make, trained, MODELS)
    assert put_aside() == []


def hashes_of(make, trained, *folders):
    """The hashes of what the undisturbed training made, by their paths in the project."""
    with contextlib.chdir(trained[0]):
        return make.hashes(*folders)


WHOLE = """\
import os
import sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
import keras
from glassbox.artifacts import recipe
from glassbox.training import lineage
from glassbox.training.predict import predict
from glassbox.training.train import train
for phase in ("warm_start", "fine_tune"):
    keras.utils.clear_session()  # as in the process of each stage
    settings = recipe.phase("compact", phase)
    train(settings, phase, lineage.origin(settings, phase))
predict("compact")
"""


@pytest.mark.long
@pytest.mark.parametrize("cores", [1, 2])
def test_another_process_makes_the_same_bytes_on_one_core_and_on_two(make, trained, untrained, cores):
    assert elsewhere(WHOLE, cores) == 0
    assert make.hashes(MODELS, PREDICTIONS) == hashes_of(make, trained, MODELS, PREDICTIONS)


def test_a_film_more_in_the_test_fold_and_one_in_no_fold_change_no_byte_of_a_model(make, trained, untrained):
    ids = shards.read_index("films_32").rows["image_id"].to_pylist()
    hashes = shards.read_index("films_32").rows["pixels_sha256"].to_pylist()
    images = Images("films_32")
    new = np.random.default_rng(8).integers(0, 255, (2, 32, 32), np.uint8)
    pixels = np.concatenate([new[:1], images.gather(images.positions(ids, hashes)), new[1:]])
    shutil.rmtree(shards.folder("films_32"))
    builders.write_shards("films_32", ["unused", *ids, "tested"], pixels)
    rows = make.rows()
    film = rows[rows["fold"] == "test"].iloc[[0]].assign(image_id="tested", patient_id="999")
    make.write_rows(pd.concat([film.assign(pixels_sha256=shards.digest(new[1])), rows]))
    assert make.train("compact") == trained[1]
    assert make.hashes(MODELS) == hashes_of(make, trained, MODELS)
    assert predicted("test_clean").images[0] == "tested"


# --- predictions -------------------------------------------------------------------------------------------


def predicted(variant):
    return predictions.read("compact", variant, model.read_lineage("compact").model_sha256)


@pytest.mark.parametrize("variant", VARIANTS)
def test_predictions_have_the_test_folds_rows_in_its_order(inside, variant):
    rows, found = split.read("squares", "test"), predicted(variant)
    assert found.classes == ("No Finding", "Mass")
    assert found.images.tolist() == rows["image_id"].tolist()
    assert found.patients.tolist() == rows["patient_id"].tolist()
    np.testing.assert_array_equal(found.labels, rows[["label_No Finding", "label_Mass"]])
    assert found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_prediction_is_of_the_image_that_its_row_names(inside, variant):
    network, rows = keras_file.load(model.files("compact").model), split.read("squares", "test")
    images = Images("films_32")
    films = images.gather(images.positions(rows["image_id"].tolist(), rows["pixels_sha256"].tolist()))
    if variant == "test_augmented":
        ranges = Augmentation(**builders.experiment()["augmentation"])
        moved = augment.apply(films, augment.draw(ranges, len(films), (4, 2)))
        assert (moved != films).any(axis=(1, 2)).all()
        films = moved
    expected, found = np.asarray(network(films))[:, 1], predicted(variant).probabilities[:, 1]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # Rows in another order would have been noticed.
    assert np.abs(found - np.roll(expected, 1)).max() > 1e-3


# --- the record --------------------------------------------------------------------------------------------


def test_a_record_names_what_a_model_was_made_from_by_its_sha256(inside):
    lineage, at = model.read_lineage("compact"), model.files("compact")
    assert (lineage.model_sha256, lineage.history_sha256) == (sha256_file(at.model), sha256_file(at.history))
    assert lineage.data == {
        "train_sha256": sha256_file(split.path("squares", "train")),
        "validation_sha256": sha256_file(split.path("squares", "validation")),
        "statistics_sha256": sha256_file(split.folder("squares") / "statistics.json"),
        "weights_sha256": sha256_file(weights.folder("given") / weights.FILE),
        "warm_start_sha256": sha256_file(model.files("compact", "warm_start").model),
    }
    assert set(lineage.code) == {"warm_start", "fine_tune"}
    assert lineage.machine["threads"] == 2
    assert lineage.packages["tensorflow"]
    assert [lineage.params[phase]["epochs"] for phase in ("warm_start", "fine_tune")] == [1, 2]


def test_what_is_said_of_an_experiment_or_done_after_training_is_no_part_of_a_record(make, resolve, copied):
    before = [make.origin("compact", phase) for phase in ("warm_start", "fine_tune")]
    resolve(
        title="Another title",
        departures={"seed": "Another seed."},
        published={"source": "somebody", "scores": {"test_clean": {"roc_auc": 0.9}}},
        evaluation={"resamples": 999, "seed": 1},
    )
    assert [make.origin("compact", phase) for phase in ("warm_start", "fine_tune")] == before


CHANGES = [
    {"fine_tune": builders.phase(epochs=2, optimizer={"learning_rate": 0.004})},
    {"fine_tune": builders.phase(epochs=3)},
    {"fine_tune": builders.phase(epochs=2, steps_per_epoch=2)},
    {"fine_tune": builders.phase(epochs=2, freeze={"all_but_last": 3})},
    {"training": {"seed": 5, "batch_size": 16}},
    {"training": {"seed": 4, "batch_size": 16, "threads": 1}},
    {"training": {"seed": 4, "batch_size": 16, "precision": "mixed_bfloat16"}},
    {"training": {"seed": 4, "batch_size": 16, "class_weight": "balanced"}},
    {"augmentation": {"horizontal_flip": True}},
    {"model": {"backbone": "compact", "normalise": "standardise", "dropout": 0.3}},
]


def test_every_setting_of_a_training_is_part_of_its_fingerprint(make, resolve, copied):
    found = {make.origin("compact")["fingerprint"]}
    for change in CHANGES:
        resolve(**change)
        found.add(make.origin("compact")["fingerprint"])
    assert len(found) == len(CHANGES) + 1


def relabelled(make, fold):
    """Exchanges the labels of an image of a fold."""
    rows = make.rows()
    row = rows.index[rows["fold"] == fold][0]
    rows.loc[row, split.labels(rows)] = 1 - rows.loc[row, split.labels(rows)]
    make.write_rows(rows)


def other_weights(_):
    weights.write("given", backbones.standalone("compact").save_weights)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda make: relabelled(make, "train"), True),
        (lambda make: relabelled(make, "validation"), True),
        (lambda make: relabelled(make, "test"), False),
        (other_weights, True),
        (lambda _: code.write("fine_tune", Code({"src/glassbox/x.py": "0" * 64}, {})), True),
        (lambda _: code.write("predict", Code({"src/glassbox/x.py": "0" * 64}, {})), False),
    ],
    ids=["train", "validation", "test", "weights", "its code", "other code"],
)
def test_other_data_or_code_are_another_fingerprint_where_a_training_sees_them(make, copied, change, seen):
    before = make.origin("compact")["fingerprint"]
    change(make)
    assert (make.origin("compact")["fingerprint"] != before) == seen


def test_a_phase_is_put_aside_at_a_place_of_its_recipe_that_its_end_clears(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []

    def phase(seed, *, killed):
        with lineage.unfinished(Path("fine_tune/x"), {"seed": seed}) as path:
            found.append((path, path.exists()))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            if killed:
                raise InterruptedError

    for seed in (1, 2):
        with pytest.raises(InterruptedError):
            phase(seed, killed=True)
    phase(1, killed=False)
    (one, _), (other, of_the_one), (again, still_there) = found
    assert other != one
    assert not of_the_one, "what another recipe put aside is not taken up"
    assert (again, still_there) == (one, True)
    assert put_aside() == []


# --- no epochs, and refusals -------------------------------------------------------------------------------


def test_without_epochs_the_initial_network_is_the_model(make, untrained):
    assert make.train("still") == []
    initial, final = (
        keras_file.load(model.files("still", phase).model).get_weights() for phase in ("warm_start", "fine_tune")
    )
    assert pickle.dumps(initial) == pickle.dumps(final)
    assert model.read_history(model.read_lineage("still")) == []


def test_a_training_that_fails_in_a_later_epoch_keeps_what_was_put_aside_and_leaves_no_model(
    make, warmed, monkeypatch
):
    """The network is spoilt once the first epoch was put aside."""
    kept, save = [], Checkpoint.save

    def spoil(checkpoint, model, stopping, rows):
        save(checkpoint, model, stopping, rows)
        checkpoint.close()
        kept.append(checkpoint.path.read_bytes())
        model.get_layer("head_output").bias.assign([np.nan, 0.0])

    monkeypatch.setattr(Checkpoint, "save", spoil)
    with pytest.raises(ModelError, match="fine_tune, epoch 2, step 0: the loss is nan"):
        make.train_phase("compact", "fine_tune")
    assert [path.read_bytes() for path in put_aside()] == kept
    assert left() == WARM


def other_pixels():
    """Makes every image of a shard brighter or darker by one, here and there."""
    with h5py.File(shards.folder("films_32") / "part-00001.h5", "r+") as shard:
        shard["images"][:] ^= 1


def exchanged(one, other):
    """Puts a whole model in the place of another."""
    shutil.copy(model.folder("compact") / other, model.folder("compact") / one)


def other_weights_under_their_record():
    backbones.standalone("compact").save_weights(weights.folder("given") / weights.FILE)


PIXELS = r"part-00001\.h5 has in row \d+ pixels of SHA-256 .*\n.*\n.*dvc repro --force resize@films_32"
STAGES = {
    "warm_start": lambda make: make.train_phase("compact", "warm_start"),
    "fine_tune": lambda make: make.train_phase("compact", "fine_tune"),
    "predict": lambda _: predict("compact"),
}


@pytest.mark.parametrize(
    ("change", "stage", "says"),
    [
        (other_pixels, "warm_start", PIXELS),
        (other_pixels, "fine_tune", PIXELS),
        (other_pixels, "predict", PIXELS),
        (other_weights_under_their_record, "warm_start", r"backbone\.weights\.h5 has the SHA-256"),
        (lambda: exchanged("warm_start.keras", "model.keras"), "fine_tune", r"warm_start\.keras has the SHA-256"),
        (lambda: exchanged("warm_start.csv", "history.csv"), "fine_tune", r"warm_start\.csv has the SHA-256"),
        (lambda: exchanged("model.keras", "warm_start.keras"), "predict", r"model\.keras has the SHA-256"),
        (lambda: exchanged("lineage.json", "warm_start.json"), "predict", r"lineage\.json is another file"),
    ],
)
def test_a_stage_refuses_what_is_not_what_the_one_before_wrote(make, copied, change, stage, says):
    change()
    before = make.hashes(MODELS, PREDICTIONS)
    with pytest.raises(ArtifactError, match=says):
        STAGES[stage](make)
    assert make.hashes(MODELS, PREDICTIONS) == before
