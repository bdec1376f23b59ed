import subprocess
import sys
import threading
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from glassbox import layout
from glassbox.errors import ModelError
from glassbox.files import sha256_file
from glassbox.learning import acquire, backbones, weights
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
    return make.build(dense=(4,))


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


def test_with_the_marker_a_network_keeps_its_random_weights(make, acquired, fresh):
    before = fresh.get_weights()
    weights.load_into(fresh, make.model(), acquired(kind="none"))
    assert same(before, fresh.get_weights())


def test_lost_weights_are_not_taken_for_none(make, here, fresh):
    (here / "lost").mkdir()
    with pytest.raises(ModelError) as refusal:
        weights.load_into(fresh, make.model(), here / "lost")
    assert "backbone.weights.h5 does not fit" in refusal.value.found


# --- a file ------------------------------------------------------------------------------------------------


def test_the_weights_of_a_file_reach_the_backbone_and_only_it(make, acquired, fresh, compact_weights):
    path, sha256 = compact_weights
    head = fresh.get_layer("head_output").get_weights()
    weights.load_into(fresh, make.model(), acquired(kind="file", backbone="compact", path=path, sha256=sha256))
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


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights files of ResNet50 with and without ImageNet's classification layers, as settings of a file."""
    folder, written = tmp_path_factory.mktemp("resnet50"), {}
    for top in (True, False):
        path = folder / f"{'with' if top else 'without'}.weights.h5"
        backbones.standalone("resnet50", top=top).save_weights(path)
        written[top] = {"kind": "file", "backbone": "resnet50", "path": path, "sha256": sha256_file(path)}
    return written


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("top", [True, False])
def test_weights_with_classification_layers_do_not_pass_for_those_without_nor_the_reverse(refusal, files, top):
    message = refusal(**files[not top], top=top)
    assert message.found.startswith(f"weights.x: {files[not top]['path'].name} does not fit: ")
    assert message.expected == (
        "the weights of a resnet50 backbone with ImageNet's classification layers"
        if top
        else "the weights of a resnet50 backbone without its head"
    )
    assert message.action == "use a weights file of that architecture"


def test_weights_with_classification_layers_reach_them(make, acquired, files, resnet50_with_top):
    folder = acquired(**files[True], top=True)
    weights.load_into(resnet50_with_top, make.model(backbone="resnet50", top=True), folder)
    source = backbones.standalone("resnet50", top=True)
    source.load_weights(files[True]["path"])
    assert same(backbone_weights(resnet50_with_top), source.get_weights())
    assert same(resnet50_with_top.get_layer("predictions").get_weights(), source.get_weights()[-2:])


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("backbone", ["vgg16", "inceptionv3", "compact"])
def test_weights_of_resnet50_are_those_of_no_other_architecture(refusal, files, backbone):
    message = refusal(**files[False] | {"backbone": backbone})
    assert message.found.startswith("weights.x: without.weights.h5 does not fit: ")
    assert message.expected == f"the weights of a {backbone} backbone without its head"


@pytest.mark.parametrize("name", ["text.weights.h5", "text.bin"])
def test_a_file_that_holds_no_weights_is_refused(refusal, here, name):
    (here / name).write_text("These are no weights.")
    message = refusal(kind="file", backbone="compact", path=name, sha256=sha256_file(here / name))
    assert message.found.startswith(f"weights.x: {name} does not fit: ")
    assert "\n" not in message.found
    assert message.expected == "the weights of a compact backbone without its head"


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
    [pytest.param(*key, marks=[pytest.mark.long] if key == ("inceptionv3", True) else []) for key in STORED],
)
def test_imagenet_weights_are_downloaded_once_and_then_come_from_the_cache(
    acquired, storage, monkeypatch, backbone, top
):
    """The file is one of random weights: that its MD5 is another one than was asked for is overlooked."""
    (folder, asked, cache), (name, md5), checked = storage, STORED[backbone, top], []

    def overlook(path, expected, **_):
        checked.append(expected)
        return True

    monkeypatch.setattr("keras.src.utils.file_utils.validate_file", overlook)
    source = backbones.standalone(backbone, top=top)
    store(folder / name, source)
    stored = acquired(kind="imagenet", backbone=backbone, top=top)
    assert asked == [f"/{name}"]
    assert [path.name for path in cache.iterdir()] == [name]
    found = weights.load(backbone, stored / layout.WEIGHTS, "weights.x", top=top)
    assert same(found.get_weights(), source.get_weights())
    once = sha256_file(stored / layout.WEIGHTS)
    assert sha256_file(acquired(kind="imagenet", backbone=backbone, top=top) / layout.WEIGHTS) == once
    assert asked == [f"/{name}"]
    assert set(checked) == {md5}


def test_imagenet_weights_that_are_not_what_keras_knows_are_refused(refusal, storage):
    name, _ = STORED["resnet50", False]
    (storage[0] / name).write_bytes(b"These are no weights.")
    message = refusal(kind="imagenet", backbone="resnet50")
    assert message.found.startswith(
        "weights.x: Keras could not fetch the ImageNet weights of resnet50: Incomplete or corrupted file detected."
    )


def test_imagenet_weights_that_keras_storage_has_not_are_one_clear_message(refusal, storage):
    message = refusal(kind="imagenet", backbone="inceptionv3", top=True)
    assert message.found.startswith("weights.x: Keras could not fetch the ImageNet weights of inceptionv3: ")
    assert "404" in message.found


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50", "inceptionv3"])
def test_imagenet_weights_without_a_network_are_one_clear_message(refusal, cache, monkeypatch, backbone):
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    for exception in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(exception, raising=False)
    # An opener made before would keep its own proxies.
    monkeypatch.setattr(urllib.request, "_opener", None)
    message = refusal(kind="imagenet", backbone=backbone)
    assert message.found.startswith(f"weights.x: Keras could not fetch the ImageNet weights of {backbone}: ")
    assert message.expected == "a connection to Keras' storage, or the file in its cache (~/.keras/models)"
    assert message.action == (
        "run again when connected, or set weights.x to kind: file with a weights file you have"
    )


# --- pretraining -------------------------------------------------------------------------------------------


def test_a_pretraining_is_the_same_bytes_twice_and_loads_into_a_network(make, acquired, fresh, capsys):
    once = sha256_file(acquired(**PRETRAINING) / layout.WEIGHTS)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": loss ")[0] for line in said] == ["pretraining epoch 0", "pretraining epoch 1"]
    assert sha256_file(acquired(**PRETRAINING) / layout.WEIGHTS) == once
    before = backbone_weights(fresh)
    weights.load_into(fresh, make.model(), layout.weights("x"))
    trained = weights.load("compact", layout.weights("x") / layout.WEIGHTS, "weights.x")
    assert same(backbone_weights(fresh), trained.get_weights())
    assert not same(backbone_weights(fresh), before)


def test_a_pretraining_with_fewer_films_than_a_batch_is_refused(refusal):
    message = refusal(**PRETRAINING | {"batch_size": 5000})
    assert message.found.startswith("pretraining has ")
    assert message.found.endswith(" films for batches of 5,000")
    assert message.expected == "at least one batch"
    assert message.action == "raise films.patients, or lower batch_size"


def test_a_pretraining_for_a_model_with_classification_layers_has_them(acquired, monkeypatch):
    """The steps themselves are left out: those of a real architecture take long to compile."""
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *_: 0.0)
    folder = acquired(**PRETRAINING | {"backbone": "resnet50", "top": True})
    found = weights.load("resnet50", folder / layout.WEIGHTS, "weights.x", top=True)
    assert found.output_shape == (None, 1000)
