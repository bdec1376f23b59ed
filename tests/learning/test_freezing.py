import keras
import numpy as np
import pytest

from glassbox.errors import ModelError
from glassbox.learning import keras_file, network
from glassbox.learning.freezing import freeze
from glassbox.learning.network import backbone_layers

FROZEN_STATISTICS = ("moving_mean", "moving_variance")


def frozen(model):
    return [layer.name for layer in model.layers if not layer.trainable and not layer.name.startswith("cast")]


def by_name(model):
    """Every weight of a model as an array, by its path."""
    return {weight.path: weight.numpy() for weight in model.weights}


def changed(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


@pytest.fixture
def compact(make):
    """A compact network with the weights that the seed gives."""
    keras.utils.set_random_seed(2)
    return network.build(make.model(), 32, 2, 0.0, 1.0)


@pytest.fixture
def step(make):
    """Freezes a network as asked, and takes a step of training; the paths of the weights that changed."""

    def step(model, frozen):
        freeze(model, make.phase(freeze=frozen))
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        before = by_name(model)
        positive = np.arange(8) % 2 == 1
        model.train_on_batch(make.films(positive), np.stack([~positive, positive], 1).astype(np.float32))
        return changed(before, by_name(model))

    return step


# --- which layers ------------------------------------------------------------------------------------------


def test_the_first_ten_layers_of_vgg16_end_with_block3_conv3(make, vgg16):
    freeze(vgg16, make.phase(freeze={"first": 10}))
    assert frozen(vgg16) == [
        *("block1_conv1", "block1_conv2", "block1_pool"),
        *("block2_conv1", "block2_conv2", "block2_pool"),
        *("block3_conv1", "block3_conv2", "block3_conv3"),
    ]
    trainable = [layer.name for layer in backbone_layers(vgg16) if layer.trainable and layer.weights]
    assert trainable[0] == "block4_conv1"
    assert vgg16.get_layer("head_output").trainable


def test_batch_normalisation_freezes_the_53_of_resnet50_and_nothing_else(make, resnet50):
    freeze(resnet50, make.phase(freeze="batch_normalisation"))
    layers = [resnet50.get_layer(name) for name in frozen(resnet50)]
    assert len(layers) == 53
    assert {type(layer) for layer in layers} == {keras.layers.BatchNormalization}


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_a_frozen_backbone_leaves_the_head_only(make, request, name):
    model = request.getfixturevalue(name)
    freeze(model, make.phase(freeze="backbone"))
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} <= {"head_dense1", "head_output"}
    assert len(model.trainable_weights) == {"vgg16": 4, "resnet50": 2}[name]
    freeze(model, make.phase(freeze="nothing"))
    assert frozen(model) == []


def test_as_many_layers_as_the_backbone_has_can_be_frozen_but_no_more(make, vgg16):
    freeze(vgg16, make.phase(freeze={"first": 19}))
    assert frozen(vgg16) == [layer.name for layer in backbone_layers(vgg16)]
    before = [layer.trainable for layer in vgg16.layers]
    with pytest.raises(ModelError) as refusal:
        freeze(vgg16, make.phase(freeze={"first": 20}))
    assert refusal.value.found == "freeze: first: 20 layers"
    assert refusal.value.expected == "at most 19, the backbone's layers with its InputLayer"
    assert refusal.value.action == "set a smaller number, or freeze: backbone"
    assert [layer.trainable for layer in vgg16.layers] == before


def test_the_first_layer_alone_is_the_input_layer_and_freezes_nothing(make, vgg16):
    freeze(vgg16, make.phase(freeze={"first": 1}))
    assert frozen(vgg16) == []


# --- what trains -------------------------------------------------------------------------------------------


def test_a_step_changes_every_weight_where_nothing_is_frozen(compact, step):
    assert step(compact, "nothing") == set(by_name(compact))


def test_a_step_changes_only_the_head_where_the_backbone_is_frozen(compact, step):
    assert step(compact, "backbone") == {"head_output/kernel", "head_output/bias"}


def test_frozen_batch_normalisation_keeps_its_moving_statistics_too(compact, step):
    paths = set(by_name(compact))
    normalisation = {path for path in paths if "_bn/" in path}
    assert len([path for path in normalisation if path.endswith(FROZEN_STATISTICS)]) == 12
    assert step(compact, "batch_normalisation") == paths - normalisation


def test_a_loaded_model_whose_backbone_was_frozen_trains_it_when_nothing_is_frozen(compact, make, step, tmp_path):
    """Keras loads such a model with `trainable` true for the whole and false for its layers."""
    freeze(compact, make.phase(freeze="backbone"))
    keras_file.save(compact, tmp_path / "frozen.keras")
    loaded = keras.models.load_model(tmp_path / "frozen.keras", compile=False)
    assert not loaded.get_layer("block1_conv").trainable
    assert step(loaded, "nothing") == set(by_name(loaded))
