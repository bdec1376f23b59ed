"""Initial weights, from the stage that makes them into a network."""

import subprocess
import sys
import threading
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import builders
import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from glassbox.artifacts import weights as artifact
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import sha256_file
from glassbox.networks import backbones, network, weights
from glassbox.networks.errors import ModelError
from glassbox.networks.network import backbone_layers

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


def made(**settings):
    """Makes weights as asked, under the name `x`, as their stage does; what a training reads of them."""
    params = builders.parameters(builders.document(weights={"x": settings}))
    # Names that Keras numbers begin anew, as in the process of a stage.
    keras.utils.clear_session()
    weights.make(params.weights["x"], "x")
    return artifact.read("x")


def refused(**settings):
    """The message with which weights are refused; nothing of them is left."""
    with pytest.raises(ModelError) as error:
        made(**settings)
    assert not list(artifact.folder("x").parent.glob("*"))
    return error.value


def backbone_weights(model):
    return [weight for layer in backbone_layers(model) for weight in layer.get_weights()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def fresh(make):
    """A compact network with weights of its own."""
    keras.utils.set_random_seed(77)
    return make.build(dense=(4,))


@pytest.fixture
def given(compact_weights):
    """Settings of weights from a file of a compact backbone."""
    path, sha256 = compact_weights
    return {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}


# --- none --------------------------------------------------------------------------------------------------


NONE = """\
import sys
from glassbox.artifacts import weights
from glassbox.networks.weights import make
from glassbox.params.weights import NoWeights
make(NoWeights(kind="none"), "x")
print(weights.read("x").sha256, *sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


def test_random_weights_are_a_word_and_need_no_keras(here):
    said = subprocess.run([sys.executable, "-c", NONE], check=True, capture_output=True, text=True)
    assert said.stdout == "none\n"


def test_lost_or_changed_weights_are_refused_and_not_taken_for_none(here, given):
    path = made(**given).path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"backbone\.weights\.h5 has the SHA-256 .*\n.*weights@x"):
        artifact.read("x")
    path.unlink()
    with pytest.raises(ArtifactError, match=r"backbone\.weights\.h5 is not there"):
        artifact.read("x")


# --- a file ------------------------------------------------------------------------------------------------


def test_the_weights_of_a_file_reach_the_backbone_and_only_it(make, here, given, fresh, compact_weights):
    head = fresh.get_layer("head_output").get_weights()
    network.load_backbone(fresh, make.model(), made(**given).path)
    source = backbones.standalone("compact")
    source.load_weights(compact_weights[0])
    assert same(backbone_weights(fresh), source.get_weights())
    assert same(head, fresh.get_layer("head_output").get_weights())


def test_the_same_file_makes_the_same_bytes_twice(here, given):
    assert made(**given) == made(**given)


def test_a_file_that_is_not_there_is_refused(here):
    message = refused(kind="file", backbone="compact", path="lost.weights.h5", sha256="0" * 64)
    assert message.found == "weights.x: there is no file lost.weights.h5"


def test_a_file_with_another_sha256_is_refused_with_both(here, given):
    message = refused(**given | {"sha256": "0" * 64})
    assert message.found == f"weights.x: {given['path']} has sha256 {given['sha256']}"
    assert message.expected == f"sha256 {'0' * 64}"


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_architecture_are_refused(here, given):
    message = refused(**given | {"backbone": "vgg16"})
    assert message.found.startswith("weights.x: compact.weights.h5 does not fit: ")
    assert message.expected == "the weights of a vgg16 backbone without its head"


def test_the_weights_of_a_whole_network_do_not_pass_for_those_of_its_backbone(here, fresh):
    """Keras itself would take the backbone's and pass over the head's."""
    fresh.save_weights("whole.weights.h5")
    sha256 = sha256_file(here / "whole.weights.h5")
    message = refused(kind="file", backbone="compact", path="whole.weights.h5", sha256=sha256)
    assert message.found.startswith("weights.x: whole.weights.h5 does not fit: ")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_with_classification_layers_fit_a_model_with_them_alone(make, here):
    sources = {top: backbones.standalone("resnet50", top=top) for top in (False, True)}
    for top, source in sources.items():
        source.save_weights(path := here / f"{top}.weights.h5")
        settings = {"kind": "file", "backbone": "resnet50", "path": str(path), "sha256": sha256_file(path)}
        assert "resnet50 backbone with" in refused(**settings, top=not top).expected
    model = make.build(backbone="resnet50", top=True)
    network.load_backbone(model, make.model(backbone="resnet50", top=True), made(**settings, top=True).path)
    assert same(backbone_weights(model), sources[True].get_weights())


@pytest.mark.parametrize("name", ["text.weights.h5", "text.bin"])
def test_a_file_that_holds_no_weights_is_refused_in_one_line(here, name):
    (here / name).write_text("These are no weights.")
    message = refused(kind="file", backbone="compact", path=name, sha256=sha256_file(here / name))
    assert message.found.startswith(f"weights.x: {name} does not fit: ")
    assert "\n" not in message.found


# --- ImageNet ----------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of Keras, which reads KERAS_HOME when it is imported."""
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path / "keras"))
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path / "keras"))
    (tmp_path / "keras").mkdir()
    return tmp_path / "keras" / "models"


@pytest.fixture
def storage(tmp_path, cache, monkeypatch):
    """A server in the place of Keras' storage: the folder that it serves, what it was asked for, and the cache."""
    folder, asked = tmp_path / "storage", []
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        here = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(urllib.request, "_opener", None)
        for module, name in (
            ("resnet", "BASE_WEIGHTS_PATH"),
            ("vgg16", "WEIGHTS_PATH_NO_TOP"),
            ("inception_v3", "WEIGHTS_PATH"),
            ("inception_v3", "WEIGHTS_PATH_NO_TOP"),
        ):
            place = f"keras.src.applications.{module}.{name}"
            address = getattr(sys.modules[f"keras.src.applications.{module}"], name)
            assert address.startswith("https://storage.googleapis.com/tensorflow/keras-applications/")
            monkeypatch.setattr(place, here + ("" if name.startswith("BASE") else address.rpartition("/")[2]))
        yield folder, asked, cache
        server.shutdown()
        thread.join()


#: What Keras' storage holds, and the MD5 by which Keras knows it.
STORED = {
    ("resnet50", False): (
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    ("resnet50", True): ("resnet50_weights_tf_dim_ordering_tf_kernels.h5", "2cb95161c43110f7111970584f804107"),
    ("inceptionv3", False): (
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    ("inceptionv3", True): (
        "inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
        "9a0d58056eeedaa3f26cb7ebd46da564",
    ),
    ("vgg16", False): (
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
}


def store(path, model):
    """Writes weights in the old format, which is that of Keras' storage."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize(
    ("backbone", "top"),
    [pytest.param(*key, marks=[] if key == ("vgg16", False) else [pytest.mark.long]) for key in STORED],
)
def test_imagenet_weights_are_downloaded_once_and_then_come_from_the_cache(
    here, storage, monkeypatch, backbone, top
):
    """The file is one of random weights: that its MD5 is another one than was asked for is overlooked."""
    (folder, asked, cache), (name, md5), checked = storage, STORED[backbone, top], []

    def overlook(path, expected, **_):
        checked.append(expected)
        return True

    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", overlook)
    source = backbones.standalone(backbone, top=top)
    store(folder / name, source)
    settings = {"kind": "imagenet", "backbone": backbone, "top": top}
    stored = made(**settings)
    found = backbones.load(backbone, stored.path, "weights.x", top=top)
    assert same(found.get_weights(), source.get_weights())
    assert made(**settings) == stored
    assert asked == [f"/{name}"]
    assert [path.name for path in cache.iterdir()] == [name]
    assert set(checked) == {md5}


def test_imagenet_weights_that_are_not_what_keras_knows_are_refused(here, storage):
    name, _ = STORED["vgg16", False]
    (storage[0] / name).write_bytes(b"These are no weights.")
    message = refused(kind="imagenet", backbone="vgg16")
    assert message.found.startswith("weights.x: Keras could not fetch the ImageNet weights of vgg16: ")


def test_imagenet_weights_without_a_network_are_one_clear_message(here, cache, monkeypatch):
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    for exception in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exception, raising=False)
    # An opener made before would keep its own proxies.
    monkeypatch.setattr(urllib.request, "_opener", None)
    message = refused(kind="imagenet", backbone="vgg16")
    assert message.found.startswith("weights.x: Keras could not fetch the ImageNet weights of vgg16: ")
    assert "~/.keras/models" in message.expected


# --- pretraining -------------------------------------------------------------------------------------------


def test_a_pretraining_is_the_same_bytes_twice_and_loads_into_a_network(make, here, fresh, capsys):
    once = made(**PRETRAINING)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": loss ")[0] for line in said] == ["pretraining epoch 0", "pretraining epoch 1"]
    assert made(**PRETRAINING) == once
    before = backbone_weights(fresh)
    network.load_backbone(fresh, make.model(), once.path)
    trained = backbones.load("compact", once.path, "weights.x")
    assert same(backbone_weights(fresh), trained.get_weights())
    assert not same(backbone_weights(fresh), before)


def test_a_pretraining_with_fewer_films_than_a_batch_is_refused(here):
    message = refused(**PRETRAINING | {"batch_size": 5000})
    assert message.found.startswith("pretraining has ")
    assert message.found.endswith(" films for batches of 5,000")


@pytest.mark.long
def test_a_pretraining_for_a_model_with_classification_layers_has_them(here, monkeypatch):
    """The steps themselves are left out: those of a real architecture take long to compile."""
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *_: 0.0)
    path = made(**PRETRAINING | {"backbone": "resnet50", "top": True}).path
    assert backbones.load("resnet50", path, "weights.x", top=True).output_shape == (None, 1000)
