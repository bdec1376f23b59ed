import subprocess
import sys
import urllib.request

import keras
import numpy as np
import pytest

from glassbox import layout
from glassbox.errors import ModelError
from glassbox.files import sha256_file
from glassbox.learning import acquire, backbones, network, weights
from glassbox.learning.network import backbone_layers

PRETRAINING = {
    "kind": "pretraining",
    "backbone": "compact",
    "films": {
        "kind": "phantom",
        "layout": "nih",
        "seed": 7,
        "patients": 8,
        "size": 32,
        "prevalence": {"Mass": 0.4},
    },
    "size": 32,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.002,
    "seed": 7,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty project, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def acquired(make, here):
    """Makes weights as asked, under the name `x`; their folder."""

    def acquired(**settings):
        # Names that Keras numbers begin anew, as in the process of a stage.
        keras.utils.clear_session()
        acquire.make(make.parameters({"x": settings}), "x")
        return layout.weights("x")

    return acquired


@pytest.fixture
def refusal(acquired):
    """The message with which weights are refused; nothing of them is left."""

    def refusal(**settings):
        with pytest.raises(ModelError) as error:
            acquired(**settings)
        assert list(layout.weights("x").parent.iterdir()) == []
        return error.value

    return refusal


def backbone_weights(model):
    return [weight for layer in backbone_layers(model) for weight in layer.get_weights()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def fresh(make):
    """A compact network with weights of its own."""
    keras.utils.set_random_seed(77)
    return network.build(make.model(dense=(4,)), 32, 2, 0.0, 1.0)


# --- none --------------------------------------------------------------------------------------------------


NONE = """\
import sys
from glassbox import params
from glassbox.learning import acquire
parsed = params.parse(
    {"profile": "x", "weights": {"x": {"kind": "none"}}}
    | {"sources": {}, "datasets": {}, "splits": {}, "experiments": {}},
    "params.yaml",
)
acquire.make(parsed, "x")
print(*sorted({"keras", "tensorflow", "glassbox"} & set(sys.modules)))
"""


def test_no_weights_are_an_empty_marker_that_needs_no_keras(here):
    said = subprocess.run([sys.executable, "-c", NONE], check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["glassbox"]
    (marker,) = layout.weights("x").iterdir()
    assert (marker.name, marker.read_bytes()) == ("none", b"")


def test_with_the_marker_a_network_keeps_its_random_weights(acquired, fresh):
    before = fresh.get_weights()
    weights.load_into(fresh, "compact", acquired(kind="none"))
    assert same(before, fresh.get_weights())


def test_lost_weights_are_not_taken_for_none(here, fresh):
    (here / "lost").mkdir()
    with pytest.raises(ModelError) as refusal:
        weights.load_into(fresh, "compact", here / "lost")
    assert "backbone.weights.h5 does not fit" in refusal.value.found


# --- a file ------------------------------------------------------------------------------------------------


def test_the_weights_of_a_file_reach_the_backbone_and_only_it(acquired, fresh, compact_weights):
    path, sha256 = compact_weights
    head = fresh.get_layer("head_output").get_weights()
    weights.load_into(fresh, "compact", acquired(kind="file", backbone="compact", path=path, sha256=sha256))
    source = backbones.standalone("compact")
    source.load_weights(path)
    assert same(backbone_weights(fresh), source.get_weights())
    assert same(head, fresh.get_layer("head_output").get_weights())


def test_the_same_file_makes_the_same_bytes_twice(acquired, compact_weights):
    path, sha256 = compact_weights
    settings = {"kind": "file", "backbone": "compact", "path": path, "sha256": sha256}
    once = sha256_file(acquired(**settings) / layout.WEIGHTS)
    assert [file.name for file in layout.weights("x").iterdir()] == [layout.WEIGHTS]
    assert sha256_file(acquired(**settings) / layout.WEIGHTS) == once


def test_a_file_that_is_not_there_is_refused(refusal, here):
    message = refusal(kind="file", backbone="compact", path="lost.weights.h5", sha256="0" * 64)
    assert message.found == "weights.x: there is no file lost.weights.h5"
    assert message.expected == "the weights file"
    assert message.action == "correct weights.x.path"


def test_a_file_with_another_sha256_is_refused_with_both(refusal, compact_weights):
    path, sha256 = compact_weights
    message = refusal(kind="file", backbone="compact", path=path, sha256="0" * 64)
    assert message.found == f"weights.x: {path} has sha256 {sha256}"
    assert message.expected == f"sha256 {'0' * 64}"
    assert message.action == "use the file that is meant, or set weights.x.sha256 to what was found"


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_architecture_are_refused(refusal, compact_weights):
    path, sha256 = compact_weights
    message = refusal(kind="file", backbone="vgg16", path=path, sha256=sha256)
    assert message.found.startswith("weights.x: compact.weights.h5 does not fit: ")
    assert message.expected == "the weights of a vgg16 backbone without its head"
    assert message.action == "use a weights file of that architecture"


@pytest.mark.parametrize("name", ["text.weights.h5", "text.bin"])
def test_a_file_that_holds_no_weights_is_refused(refusal, here, name):
    (here / name).write_text("These are no weights.")
    message = refusal(kind="file", backbone="compact", path=name, sha256=sha256_file(here / name))
    assert message.found.startswith(f"weights.x: {name} does not fit: ")
    assert "\n" not in message.found
    assert message.expected == "the weights of a compact backbone without its head"


# --- ImageNet ----------------------------------------------------------------------------------------------


def test_imagenet_weights_without_a_network_are_one_clear_message(refusal, tmp_path, monkeypatch):
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    for exception in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exception, raising=False)
    # An opener made before would keep its own proxies, and Keras read KERAS_HOME when it was imported.
    monkeypatch.setattr(urllib.request, "_opener", None)
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path / "keras"))
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path / "keras"))
    message = refusal(kind="imagenet", backbone="vgg16")
    assert message.found.startswith("weights.x: Keras could not fetch the ImageNet weights of vgg16: ")
    assert message.expected == "a connection to Keras' storage, or the file in its cache (~/.keras/models)"
    assert message.action == (
        "run again when connected, or set weights.x to kind: file with a weights file you have"
    )


# --- pretraining -------------------------------------------------------------------------------------------


def test_a_pretraining_is_the_same_bytes_twice_and_loads_into_a_network(acquired, fresh, capsys):
    once = sha256_file(acquired(**PRETRAINING) / layout.WEIGHTS)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": loss ")[0] for line in said] == ["pretraining epoch 0", "pretraining epoch 1"]
    assert sha256_file(acquired(**PRETRAINING) / layout.WEIGHTS) == once
    before = backbone_weights(fresh)
    weights.load_into(fresh, "compact", layout.weights("x"))
    trained = weights.load("compact", layout.weights("x") / layout.WEIGHTS, "weights.x")
    assert same(backbone_weights(fresh), trained.get_weights())
    assert not same(backbone_weights(fresh), before)


def test_a_pretraining_with_fewer_films_than_a_batch_is_refused(refusal):
    message = refusal(**PRETRAINING | {"batch_size": 5000})
    assert message.found.startswith("pretraining has ")
    assert message.found.endswith(" films for batches of 5,000")
    assert message.expected == "at least one batch"
    assert message.action == "raise films.patients, or lower batch_size"
