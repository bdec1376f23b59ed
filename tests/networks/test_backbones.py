"""VGG16, ResNet50 and InceptionV3 as the published systems use them, each built once."""

import re

import keras
import numpy as np
import pytest

from glassbox.networks import backbones
from glassbox.networks.errors import ModelError
from glassbox.networks.network import backbone_layers, freeze
from glassbox.params.experiments import AllButLastLayers, FirstLayers

#: Networks of the systems, for the smallest films they take.
NETWORKS = {
    "vgg16": {"size": 32, "preprocess": "imagenet", "dense": (8,)},
    # As the transfer system has it: ImageNet's classification layers below one sigmoid a class.
    "resnet50": {
        "size": 32,
        "preprocess": "imagenet",
        "top": True,
        "output_weights": "random_uniform",
        "task": "multi_label",
        "classes": 1,
    },
    "inceptionv3": {"size": 75, "preprocess": "imagenet", "batch_normalisation": True, "momentum": 0.8},
}
#: Layers of a backbone with its InputLayer, those that have parameters, and those that are batch normalisation.
LAYERS = {"vgg16": (19, 13, 0), "resnet50": (177, 107, 53), "inceptionv3": (311, 188, 94)}


@pytest.fixture(scope="module")
def built(make):
    """Each network, built when it is first asked for."""
    found = {}

    def built(name):
        if name not in found:
            found[name] = make.build(backbone=name, **NETWORKS[name])
        return found[name]

    return built


@pytest.fixture(params=NETWORKS)
def architecture(request, built):
    """Each network, and the numbers of its backbone's layers."""
    return built(request.param), LAYERS[request.param]


def frozen(model):
    return [layer.name for layer in model.layers if not layer.trainable]


def training(model):
    """The names of the layers with weights that train, in the order of the network."""
    return [layer.name for layer in model.layers if layer.trainable_weights]


def head(model):
    """The names of the layers of the head that have weights."""
    return [layer.name for layer in model.layers if layer.name.startswith("head_") and layer.weights]


def normalising(model):
    """The batch normalisation of the backbone."""
    return [layer for layer in backbone_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]


# --- how they are built ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_backbone_lies_flat_in_the_network_in_its_own_order(built, name):
    model = built(name)
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]
    alone = backbones.standalone(name, top="top" in NETWORKS[name])
    assert isinstance(alone.layers[0], keras.layers.InputLayer)
    assert len(alone.layers) == LAYERS[name][0]
    assert [kind(layer) for layer in backbone_layers(model)] == [kind(layer) for layer in alone.layers[1:]]


def kind(layer):
    """What a layer is; InceptionV3 leaves the names of most to be numbered by Keras."""
    name = re.sub(r"_\d+$", "", layer.name) if layer.name.startswith(AUTOMATIC) else layer.name
    return type(layer), name, [weight.shape for weight in layer.weights]


AUTOMATIC = ("conv2d", "batch_normalization", "activation", "average_pooling2d", "max_pooling2d", "concatenate")


def test_a_momentum_reaches_all_batch_normalisation_of_a_backbone_and_none_of_the_head(built):
    assert {layer.momentum for layer in normalising(built("resnet50"))} == {0.99}
    assert {layer.momentum for layer in normalising(built("inceptionv3"))} == {0.8}
    assert built("inceptionv3").get_layer("head_bn").momentum == 0.99


def test_imagenets_classification_layers_are_kept_below_one_sigmoid(built):
    average, predictions, output = built("resnet50").layers[-3:]
    assert [average.name, predictions.name, output.name] == ["avg_pool", "predictions", "head_output"]
    assert (predictions.units, predictions.activation.__name__) == (1000, "softmax")
    assert (output.units, output.activation.__name__) == (1, "sigmoid")
    assert output.kernel.shape == (1000, 1)


def test_uniform_output_weights_fill_the_range_up_to_a_twentieth(built):
    kernel, bias = built("resnet50").get_layer("head_output").get_weights()
    assert 0.045 < np.abs(kernel).max() <= 0.05
    assert kernel.mean() == pytest.approx(0.0, abs=0.005)
    assert kernel.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.1)
    assert not bias.any()


@pytest.mark.parametrize(
    ("name", "module"), [("vgg16", "vgg16"), ("resnet50", "resnet50"), ("inceptionv3", "inception_v3")]
)
def test_imagenet_preprocessing_is_that_of_keras_applications(built, name, module):
    model, size = built(name), NETWORKS[name]["size"]
    films = np.random.default_rng(3).integers(0, 256, (2, size, size))
    films[0, 0, :2] = 0, 255
    three = np.repeat(films[..., None], 3, axis=-1).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(three)
    probe = keras.Model(model.inputs[0], backbone_layers(model)[0].input)
    np.testing.assert_allclose(np.asarray(probe(films.astype(np.uint8))), expected, atol=1e-4)


@pytest.mark.parametrize(("backbone", "size"), [("vgg16", 31), ("compact", 15)])
def test_films_too_small_for_a_backbone_are_refused(make, backbone, size):
    with pytest.raises(ModelError, match=f"backbone {backbone} cannot be built for {size} x {size} pixels: "):
        make.build(size, backbone=backbone)


def test_outputs_are_float32_above_a_backbone_in_half_precision(make):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make.build(backbone="vgg16")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("block5_conv3").compute_dtype == "bfloat16"
    assert model.get_layer("head_output").compute_dtype == "float32"


# --- which layers are frozen -------------------------------------------------------------------------------


def test_everything_is_the_whole_backbone_and_leaves_the_head_and_nothing_frees_it_again(architecture):
    model, (layers, with_parameters, _) = architecture
    freeze(model, "everything")
    assert frozen(model) == [layer.name for layer in backbone_layers(model)]
    assert len(frozen(model)) == layers - 1
    assert training(model) == head(model)
    freeze(model, "nothing")
    assert frozen(model) == []
    assert len(training(model)) == with_parameters + len(head(model))


def test_the_first_ten_layers_of_vgg16_end_with_block3_conv3(built):
    """As the 2018 article counts them: Keras' InputLayer is the first."""
    vgg16 = built("vgg16")
    freeze(vgg16, FirstLayers(first=10))
    assert frozen(vgg16) == [
        *("block1_conv1", "block1_conv2", "block1_pool"),
        *("block2_conv1", "block2_conv2", "block2_pool"),
        *("block3_conv1", "block3_conv2", "block3_conv3"),
    ]
    assert training(vgg16) == [
        *("block4_conv1", "block4_conv2", "block4_conv3"),
        *("block5_conv1", "block5_conv2", "block5_conv3"),
        *("head_dense1", "head_output"),
    ]


def test_the_first_layer_alone_is_the_input_layer_and_as_many_as_there_are_is_the_most(architecture):
    model, (layers, _, _) = architecture
    freeze(model, FirstLayers(first=1))
    assert frozen(model) == []
    freeze(model, FirstLayers(first=layers))
    assert frozen(model) == [layer.name for layer in backbone_layers(model)]
    with pytest.raises(ModelError, match=f"freeze: first: {layers + 1} layers\n.* at most {layers}, "):
        freeze(model, FirstLayers(first=layers + 1))
    assert frozen(model) == [layer.name for layer in backbone_layers(model)], "a refusal changes nothing"


def test_all_but_batch_normalisation_trains_only_it_and_the_head(architecture):
    model, (_, _, count) = architecture
    freeze(model, "all_but_batch_normalisation")
    normalisation = [layer.name for layer in normalising(model)]
    assert len(normalisation) == count
    assert sorted(training(model)) == sorted(normalisation + head(model))


#: From Keras' own list: the 1000-way softmax is the first from the end.
LAST_OF_RESNET50 = (
    *("conv5_block2_1_conv", "conv5_block2_1_bn", "conv5_block2_2_conv", "conv5_block2_2_bn"),
    *("conv5_block2_3_conv", "conv5_block2_3_bn"),
    *("conv5_block3_1_conv", "conv5_block3_1_bn", "conv5_block3_2_conv", "conv5_block3_2_bn"),
    *("conv5_block3_3_conv", "conv5_block3_3_bn"),
    "predictions",
)


def test_all_but_the_last_layers_of_resnet50_counts_its_softmax_and_batch_normalisation(built):
    """As the transfer system's source counts: layers that have parameters, from the end."""
    for last in range(len(LAST_OF_RESNET50) + 1):
        freeze(built("resnet50"), AllButLastLayers(all_but_last=last))
        expected = [*LAST_OF_RESNET50[len(LAST_OF_RESNET50) - last :], "head_output"]
        assert training(built("resnet50")) == expected


def test_all_but_as_many_last_layers_as_have_parameters_is_nothing_and_more_are_refused(architecture):
    model, (_, with_parameters, _) = architecture
    for last in (with_parameters, with_parameters - 1):
        freeze(model, AllButLastLayers(all_but_last=last))
        assert len(training(model)) == last + len(head(model))
    with pytest.raises(ModelError, match=f"all_but_last: {with_parameters + 1} layers\n.* {with_parameters}, "):
        freeze(model, AllButLastLayers(all_but_last=with_parameters + 1))


@pytest.mark.long
def test_in_resnet50_frozen_moving_statistics_stay_and_unfrozen_ones_move(make, built):
    model = built("resnet50")
    freeze(model, AllButLastLayers(all_but_last=13))
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    before = {weight.path: weight.numpy() for weight in model.weights}
    positive = np.arange(8) % 2 == 1
    model.train_on_batch(make.films(positive), positive[:, None].astype(np.float32))
    moved = {
        weight.path.split("/")[0]
        for weight in model.weights
        if "moving" in weight.path and not np.array_equal(before[weight.path], weight.numpy())
    }
    assert moved == {f"conv5_block{block}_{number}_bn" for block in (2, 3) for number in (1, 2, 3)}
