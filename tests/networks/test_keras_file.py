import datetime as dt
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from glassbox.files import sha256_file
from glassbox.networks import keras_file
from glassbox.networks.errors import ModelError


@pytest.fixture(scope="module")
def model(make):
    """A compiled network, with an optimiser whose state is not to be kept."""
    keras.utils.set_random_seed(2)
    built = make.build(mean=117.0, deviation=41.0, normalise="standardise", dropout=0.2)
    built.compile("adam", "categorical_crossentropy")
    return built


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras_file.save(model, path)
    return path


def test_a_model_is_the_same_bytes_twice(model, saved, tmp_path):
    keras_file.save(model, tmp_path / "elsewhere" / "again.keras")
    assert sha256_file(tmp_path / "elsewhere" / "again.keras") == sha256_file(saved)


def test_another_weight_makes_other_bytes(model, saved, tmp_path):
    clone = keras_file.load(saved)
    layer = clone.get_layer("head_output")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, np.nextafter(bias, np.float32(1))])
    keras_file.save(clone, tmp_path / "other.keras")
    weights = [zipfile.ZipFile(path).read("model.weights.h5") for path in (saved, tmp_path / "other.keras")]
    assert weights[0] != weights[1]


def test_it_loads_and_predicts_the_same(make, model, saved):
    films = make.films(np.arange(6) % 2 == 1)
    loaded = keras_file.load(saved)
    np.testing.assert_array_equal(loaded.predict_on_batch(films), model.predict_on_batch(films))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


def test_it_holds_no_date_and_no_place_and_shared_objects_are_numbered_from_one(saved):
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        assert list(members) == ["config.json", "metadata.json", "model.weights.h5"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert json.loads(members["metadata.json"]) == {
        "date_saved": "1980-01-01@00:00:00",
        "keras_version": keras.__version__,
    }
    text = saved.read_bytes()
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for trace in (today, str(saved.parent), "/tmp", str(Path.home()), str(Path.cwd())):  # noqa: S108
        assert trace.encode() not in text
    shared = []
    json.loads(members["config.json"], object_hook=lambda found: shared.append(found.get("shared_object_id")))
    numbers = sorted({number for number in shared if number is not None})
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 half of one"])
def test_a_file_that_is_no_model_is_refused_by_its_name(tmp_path, content):
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.keras cannot be loaded: "):
        keras_file.load(tmp_path / "model.keras")


def test_a_model_that_cannot_be_written_leaves_nothing(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        keras_file.save(model, tmp_path / "file" / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
