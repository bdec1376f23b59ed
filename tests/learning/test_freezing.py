import keras
import numpy as np
import pytest

from glassbox.errors import ModelError
from glassbox.learning import keras_file
from glassbox.learning.freezing import freeze
from glassbox.learning.network import backbone_layers
from glassbox.params import AllButLastLayers, FirstLayers

STATISTICS = ("moving_mean", "moving_variance")
ARCHITECTURES = ("vgg16", "resnet50", "resnet50_with_top", "inceptionv3")
#: Layers of a backbone with its InputLayer, those that have parameters, and those that are batch normalisation.
LAYERS = {
    "vgg16": (19, 13, 0),
    "resnet50": (175, 106, 53),
    "resnet50_with_top": (177, 107, 53),
    "inceptionv3": (311, 188, 94),
}


def frozen(model):
    return [layer.name for layer in model.layers if not layer.trainable]


def training(model):
    """The layers with weights that train, in the order of the network."""
    return [layer for layer in model.layers if layer.trainable_weights]


def head(model):
    """The names of the layers of the head that have weights."""
    return [layer.name for layer in model.layers if layer.name.startswith("head_") and layer.weights]


def by_name(model):
    """Every weight of a model as an array, by its path."""
    return {weight.path: weight.numpy() for weight in model.weights}


def changed(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    """A network of each architecture, and the numbers of its backbone's layers."""
    return request.getfixturevalue(request.param), LAYERS[request.param]


@pytest.fixture
def compact(make):
    """A compact network with the weights that the seed gives."""
    keras.utils.set_random_seed(2)
    return make.build()


@pytest.fixture
def step(make):
    """Freezes a network as asked, and takes a step of training; the paths of the weights that changed."""

    def step(model, what):
        freeze(model, make.phase(freeze=what).freeze)
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        before = by_name(model)
        positive = np.arange(8) % 2 == 1
        model.train_on_batch(make.films(positive), np.stack([~positive, positive], 1).astype(np.float32))
        return changed(before, by_name(model))

    return step


# --- which layers ------------------------------------------------------------------------------------------


def test_nothing_freezes_no_layer(architecture):
    model, (_, with_parameters, _) = architecture
    freeze(model, "nothing")
    assert frozen(model) == []
    assert len(training(model)) == with_parameters + len(head(model))


def test_everything_is_the_whole_backbone_and_leaves_the_head(architecture):
    model, (layers, _, _) = architecture
    freeze(model, "everything")
    assert frozen(model) == [layer.name for layer in backbone_layers(model)]
    assert len(frozen(model)) == layers - 1
    assert [layer.name for layer in training(model)] == head(model)


def test_a_frozen_layer_trains_again_when_the_next_phase_does_not_freeze_it(architecture):
    model, _ = architecture
    freeze(model, "everything")
    freeze(model, "nothing")
    assert frozen(model) == []


def test_the_first_ten_layers_of_vgg16_end_with_block3_conv3(vgg16):
    freeze(vgg16, FirstLayers(first=10))
    assert frozen(vgg16) == [
        *("block1_conv1", "block1_conv2", "block1_pool"),
        *("block2_conv1", "block2_conv2", "block2_pool"),
        *("block3_conv1", "block3_conv2", "block3_conv3"),
    ]
    assert [layer.name for layer in training(vgg16)] == [
        *("block4_conv1", "block4_conv2", "block4_conv3"),
        *("block5_conv1", "block5_conv2", "block5_conv3"),
        *("head_dense1", "head_output"),
    ]


def test_the_first_layers_are_those_that_keras_applications_counts_with_their_input_layer(
    resnet50_with_top, inceptionv3
):
    for model, application in (
        (resnet50_with_top, keras.applications.ResNet50),
        (inceptionv3, keras.applications.InceptionV3),
    ):
        top = model is resnet50_with_top
        counted = application(weights=None, include_top=top).layers
        for first in (1, 2, 50, 100, len(counted)):
            freeze(model, FirstLayers(first=first))
            assert [(type(model.get_layer(name)), shapes(model.get_layer(name))) for name in frozen(model)] == [
                (type(layer), shapes(layer)) for layer in counted[1:first]
            ]


def shapes(layer):
    return [weight.shape for weight in layer.weights]


def test_the_first_layer_alone_is_the_input_layer_and_freezes_nothing(architecture):
    model, _ = architecture
    freeze(model, FirstLayers(first=1))
    assert frozen(model) == []


def test_as_many_layers_as_the_backbone_has_can_be_frozen_but_no_more(architecture):
    model, (layers, _, _) = architecture
    freeze(model, FirstLayers(first=layers))
    assert frozen(model) == [layer.name for layer in backbone_layers(model)]
    with pytest.raises(ModelError) as refusal:
        freeze(model, FirstLayers(first=layers + 1))
    assert refusal.value.found == f"freeze: first: {layers + 1} layers"
    assert refusal.value.expected == f"at most {layers}, the backbone's layers with its InputLayer"
    assert refusal.value.action == "set a smaller number, or freeze: everything"
    assert frozen(model) == [layer.name for layer in backbone_layers(model)], "a refusal changes nothing"


def test_all_but_batch_normalisation_trains_only_it_and_the_head(architecture):
    model, (_, _, normalising) = architecture
    freeze(model, "all_but_batch_normalisation")
    body, ending = training(model)[:normalising], training(model)[normalising:]
    assert {type(layer) for layer in body} <= {keras.layers.BatchNormalization}
    assert len({layer.name for layer in body} & {layer.name for layer in backbone_layers(model)}) == normalising
    assert [layer.name for layer in ending] == head(model)


@pytest.mark.parametrize("last", range(20))
def test_all_but_the_last_layers_of_resnet50_counts_its_softmax_and_batch_normalisation(resnet50_with_top, last):
    """As the transfer system's source counts: layers that have parameters, from the end."""
    freeze(resnet50_with_top, AllButLastLayers(all_but_last=last))
    found = [layer.name for layer in training(resnet50_with_top)]
    assert found == [*LAST_OF_RESNET50[len(LAST_OF_RESNET50) - last :], "head_output"]


#: From Keras' own list: the 1000-way softmax is the first from the end.
LAST_OF_RESNET50 = (
    *("conv5_block1_2_conv", "conv5_block1_2_bn"),
    *("conv5_block1_0_conv", "conv5_block1_3_conv", "conv5_block1_0_bn", "conv5_block1_3_bn"),
    *("conv5_block2_1_conv", "conv5_block2_1_bn", "conv5_block2_2_conv", "conv5_block2_2_bn"),
    *("conv5_block2_3_conv", "conv5_block2_3_bn"),
    *("conv5_block3_1_conv", "conv5_block3_1_bn", "conv5_block3_2_conv", "conv5_block3_2_bn"),
    *("conv5_block3_3_conv", "conv5_block3_3_bn"),
    "predictions",
)


def test_all_but_as_many_last_layers_as_have_parameters_is_nothing_and_more_are_refused(architecture):
    model, (_, with_parameters, _) = architecture
    freeze(model, AllButLastLayers(all_but_last=with_parameters))
    assert len(training(model)) == with_parameters + len(head(model))
    freeze(model, AllButLastLayers(all_but_last=with_parameters - 1))
    assert len(training(model)) == with_parameters - 1 + len(head(model))
    with pytest.raises(ModelError) as refusal:
        freeze(model, AllButLastLayers(all_but_last=with_parameters + 1))
    assert refusal.value.found == f"freeze: all_but_last: {with_parameters + 1} layers"
    assert refusal.value.expected == f"at most {with_parameters}, the backbone's layers that have parameters"
    assert refusal.value.action == "set a smaller number, or freeze: nothing"


# --- what trains -------------------------------------------------------------------------------------------


def test_a_step_changes_every_weight_where_nothing_is_frozen(compact, step):
    assert step(compact, "nothing") == set(by_name(compact))


def test_a_step_changes_only_the_head_where_the_backbone_is_frozen(compact, step):
    """The moving statistics of its batch normalisation rest with it."""
    assert len([path for path in by_name(compact) if path.endswith(STATISTICS)]) == 12
    assert step(compact, "everything") == {"head_output/kernel", "head_output/bias"}


def test_a_step_changes_batch_normalisation_and_its_moving_statistics_where_all_else_is_frozen(compact, step):
    normalisation = {path for path in by_name(compact) if "_bn/" in path}
    assert step(compact, "all_but_batch_normalisation") == normalisation | {
        "head_output/kernel",
        "head_output/bias",
    }


def test_a_step_changes_only_the_last_layers_where_the_rest_is_frozen(compact, step):
    last = {path for path in by_name(compact) if path.startswith(("block6_", "block5_bn", "head_output"))}
    assert len(last) == 1 + 4 + 4 + 2
    assert step(compact, {"all_but_last": 3}) == last


def test_in_resnet50_frozen_moving_statistics_stay_and_unfrozen_ones_move(resnet50, step):
    moved = {path for path in step(resnet50, {"all_but_last": 12}) if path.endswith(STATISTICS)}
    assert {path.split("/")[0] for path in moved} == {
        *("conv5_block2_1_bn", "conv5_block2_2_bn", "conv5_block2_3_bn"),
        *("conv5_block3_1_bn", "conv5_block3_2_bn", "conv5_block3_3_bn"),
    }
    assert len(moved) == 12


def test_a_loaded_model_whose_backbone_was_frozen_trains_it_when_nothing_is_frozen(compact, step, tmp_path):
    """Keras loads such a model with `trainable` true for the whole and false for its layers."""
    freeze(compact, "everything")
    keras_file.save(compact, tmp_path / "frozen.keras")
    loaded = keras.models.load_model(tmp_path / "frozen.keras", compile=False)
    assert not loaded.get_layer("block1_conv").trainable
    assert step(loaded, "nothing") == set(by_name(loaded))
