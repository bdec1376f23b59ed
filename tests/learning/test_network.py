import re

import keras
import numpy as np
import pytest

from glassbox.errors import ModelError
from glassbox.learning import backbones, keras_file
from glassbox.learning.network import backbone_layers

SIZE = 32


@pytest.fixture(scope="module")
def pixels():
    """Films of different brightness and contrast."""
    generator = np.random.default_rng(3)
    return np.stack(
        [generator.integers(low, low + span, (SIZE, SIZE)) for low, span in ((0, 256), (60, 90), (200, 9))]
    )


@pytest.fixture
def seen(make):
    """What the first layer of the backbone sees of films, for a network built as asked."""

    def seen(films, mean=0.0, deviation=1.0, **changes):
        model = make.build(mean=mean, deviation=deviation, **changes)
        probe = keras.Model(model.inputs[0], backbone_layers(model)[0].input)
        return np.asarray(probe(films.astype(np.uint8)))

    return seen


# --- in and out --------------------------------------------------------------------------------------------


@pytest.fixture
def policy():
    """Sets the precision in which networks are built from here on."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("normalise", ["none", "minmax", "standardise"])
def test_a_network_maps_uint8_films_to_float32_probabilities(make, pixels, policy, precision, normalise):
    policy(precision)
    model = make.build(task="single_label", classes=3, dense=(16,), dropout=0.3, normalise=normalise)
    assert (model.input_shape, model.inputs[0].dtype) == ((None, SIZE, SIZE), "uint8")
    assert model.get_layer("block1_conv").compute_dtype == precision.removeprefix("mixed_")
    assert model.get_layer("block1_conv").kernel.dtype == "float32"
    probabilities = model.predict_on_batch(pixels.astype(np.uint8))
    assert (probabilities.shape, probabilities.dtype) == ((3, 3), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert (probabilities > 0).all()


def test_outputs_are_float32_above_the_real_architecture_and_its_softmax_too(make, policy):
    policy("mixed_bfloat16")
    model = make.build(classes=1, task="multi_label", backbone="resnet50", top=True)
    assert model.get_layer("predictions").compute_dtype == "bfloat16"
    assert (model.outputs[0].dtype, model.output_shape) == ("float32", (None, 1))


def test_many_labels_have_a_sigmoid_each_which_do_not_add_up_to_one(make, pixels):
    model = make.build(task="multi_label", classes=15)
    output = model.get_layer("head_output")
    assert output.activation.__name__ == "sigmoid"
    before = model.predict_on_batch(pixels.astype(np.uint8))
    assert before.shape == (3, 15)
    assert (np.abs(before.sum(axis=1) - 1.0) > 1.0).all()
    kernel, bias = output.get_weights()
    bias[4] += 3.0
    output.set_weights([kernel, bias])
    after = model.predict_on_batch(pixels.astype(np.uint8))
    np.testing.assert_array_equal(np.delete(after, 4, axis=1), np.delete(before, 4, axis=1))
    assert (after[:, 4] > before[:, 4]).all()


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("single_label", 15)])
def test_one_label_of_several_is_a_softmax(make, task, classes):
    output = make.build(task=task, classes=classes).get_layer("head_output")
    assert (output.activation.__name__, output.units) == ("softmax", classes)


# --- the head ----------------------------------------------------------------------------------------------


def head_of(model):
    return model.layers[model.layers.index(backbone_layers(model)[-1]) + 1 :]


def test_the_plainest_head_is_pooling_and_output(make):
    assert [layer.name for layer in head_of(make.build())] == ["head_pool", "head_output"]


def test_a_head_is_pooling_batch_normalisation_dense_layers_dropout_and_output(make):
    model = make.build(dense=(16, 8), dropout=0.3, batch_normalisation=True)
    pool, normalisation, *dense, dropout, output = head_of(model)
    assert [pool.name, normalisation.name, dropout.name] == ["head_pool", "head_bn", "head_dropout"]
    assert [type(layer) for layer in (pool, normalisation, dropout)] == [
        keras.layers.GlobalAveragePooling2D,
        keras.layers.BatchNormalization,
        keras.layers.Dropout,
    ]
    assert [(layer.name, layer.units, layer.activation.__name__) for layer in (*dense, output)] == [
        ("head_dense1", 16, "relu"),
        ("head_dense2", 8, "relu"),
        ("head_output", 2, "softmax"),
    ]
    assert dropout.rate == 0.3
    assert normalisation.input.shape == (None, 128)


def test_imagenets_classification_layers_are_kept_below_one_sigmoid(resnet50_with_top):
    average, predictions, output = resnet50_with_top.layers[-3:]
    assert [average.name, predictions.name, output.name] == ["avg_pool", "predictions", "head_output"]
    assert (predictions.units, predictions.activation.__name__) == (1000, "softmax")
    assert (output.units, output.activation.__name__) == (1, "sigmoid")
    assert output.kernel.shape == (1000, 1)
    assert predictions in backbone_layers(resnet50_with_top)


def test_uniform_output_weights_fill_the_range_up_to_a_twentieth(resnet50_with_top):
    kernel, bias = resnet50_with_top.get_layer("head_output").get_weights()
    assert 0.045 < np.abs(kernel).max() <= 0.05
    assert kernel.mean() == pytest.approx(0.0, abs=0.005)
    assert kernel.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.1)
    assert not bias.any()


def test_output_weights_are_glorots_where_nothing_else_is_asked_for(make):
    kernel = make.build().get_layer("head_output").get_weights()[0]
    limit = np.sqrt(6 / (128 + 2))
    assert 0.9 * limit < np.abs(kernel).max() <= limit


# --- pixels ------------------------------------------------------------------------------------------------


def test_without_normalisation_the_backbone_sees_the_grey_levels(seen, pixels):
    np.testing.assert_array_equal(seen(pixels), pixels[..., None])


def test_vgg16_sees_three_equal_channels(seen, pixels):
    np.testing.assert_array_equal(seen(pixels, backbone="vgg16"), np.repeat(pixels[..., None], 3, axis=-1))


def test_minmax_spreads_each_film_over_0_to_255(seen, pixels):
    low, high = (extreme(pixels, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max))
    found = seen(pixels, normalise="minmax")[..., 0]
    np.testing.assert_allclose(found, (pixels - low) * 255.0 / (high - low), rtol=1e-6)
    assert set(found.min(axis=(1, 2))) == {0.0}
    assert set(found.max(axis=(1, 2))) == {255.0}


@pytest.mark.parametrize("level", [0, 137, 255])
def test_minmax_of_a_film_of_one_grey_level_is_zero_and_its_probabilities_finite(make, seen, level):
    film = np.full((1, SIZE, SIZE), level, np.uint8)
    np.testing.assert_array_equal(seen(film, normalise="minmax"), 0.0)
    model = make.build(normalise="minmax")
    assert np.isfinite(model.predict_on_batch(film)).all()


def test_standardise_subtracts_the_training_folds_mean_and_divides_by_its_deviation(seen, pixels):
    found = seen(pixels, 117.3, 41.9, normalise="standardise")[..., 0]
    np.testing.assert_allclose(found, (pixels - 117.3) / 41.9, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "module", "size"),
    [("vgg16", "vgg16", 32), ("resnet50", "resnet50", 32), ("inceptionv3", "inception_v3", 75)],
)
def test_imagenet_preprocessing_is_that_of_keras_applications(seen, backbone, module, size):
    films = np.random.default_rng(3).integers(0, 256, (2, size, size))
    films[0, 0, :2] = 0, 255
    three = np.repeat(films[..., None], 3, axis=-1).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(three)
    found = seen(films, backbone=backbone, preprocess="imagenet", size=size)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    if backbone == "inceptionv3":
        assert (found.min(), found.max()) == (-1.0, 1.0)


def test_imagenet_preprocessing_comes_after_minmax(seen, pixels):
    spread = seen(pixels, backbone="vgg16", normalise="minmax")
    expected = keras.applications.vgg16.preprocess_input(spread.copy())
    found = seen(pixels, backbone="vgg16", normalise="minmax", preprocess="imagenet")
    np.testing.assert_allclose(found, expected, atol=1e-4)


# --- the backbone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "backbone", "layers"),
    [
        ("vgg16", "vgg16", 18),
        ("resnet50", "resnet50", 174),
        ("resnet50_with_top", "resnet50", 176),
        ("inceptionv3", "inceptionv3", 310),
        (None, "compact", 22),
    ],
)
def test_the_backbone_lies_flat_in_the_network_in_its_own_order(make, request, name, backbone, layers):
    model = request.getfixturevalue(name) if name else make.build(normalise="standardise")
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]
    alone = backbones.standalone(backbone, top=name == "resnet50_with_top")
    assert isinstance(alone.layers[0], keras.layers.InputLayer)
    assert len(alone.layers) == layers + 1
    assert [kind(layer) for layer in backbone_layers(model)] == [kind(layer) for layer in alone.layers[1:]]


def kind(layer):
    """What a layer is; InceptionV3 leaves the names of most to be numbered by Keras."""
    name = re.sub(r"_\d+$", "", layer.name) if layer.name.startswith(AUTOMATIC) else layer.name
    return type(layer), name, [weight.shape for weight in layer.weights]


AUTOMATIC = ("conv2d", "batch_normalization", "activation", "average_pooling2d", "max_pooling2d", "concatenate")


def normalising(layers):
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


@pytest.mark.parametrize(
    ("backbone", "size", "count"), [("resnet50", 32, 53), ("inceptionv3", 75, 94), ("compact", 32, 6)]
)
def test_a_momentum_reaches_all_batch_normalisation_of_the_backbone(make, request, backbone, size, count):
    plain = make.build() if backbone == "compact" else request.getfixturevalue(backbone)
    assert {layer.momentum for layer in normalising(backbone_layers(plain))} == {
        0.9 if backbone == "compact" else 0.99
    }
    model = make.build(size, backbone=backbone, momentum=0.8, batch_normalisation=True)
    found = normalising(backbone_layers(model))
    assert len(found) == count
    assert {layer.momentum for layer in found} == {0.8}
    assert model.get_layer("head_bn").momentum == 0.99


def test_a_momentum_is_kept_in_the_file_of_a_model(make, tmp_path):
    keras_file.save(make.build(momentum=0.8), tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert {layer.momentum for layer in normalising(loaded.layers)} == {0.8}


def test_the_compact_backbone_is_what_it_says():
    backbone = backbones.standalone("compact")
    assert backbone.count_params() == pytest.approx(0.28e6, abs=0.005e6)
    kernels = [layer.kernel.shape for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [shape[:2] for shape in kernels] == [(3, 3)] * 6
    assert tuple(shape[3] for shape in kernels) == backbones.COMPACT_FILTERS
    assert backbone.compute_output_shape((1, 64, 64, 1)) == (1, 4, 4, 128)


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backbone", "size"), [("vgg16", 31), ("inceptionv3", 74), ("compact", 15)])
def test_films_too_small_for_a_backbone_are_refused(make, backbone, size):
    with pytest.raises(ModelError) as refusal:
        make.build(size, backbone=backbone)
    assert refusal.value.found.startswith(f"backbone {backbone} cannot be built for {size} x {size} pixels: ")
    assert refusal.value.expected == "a size that leaves the last feature map at least one pixel"
    assert refusal.value.action == "set a larger size for the dataset"


def test_films_without_any_contrast_cannot_be_standardised(make):
    with pytest.raises(ModelError) as refusal:
        make.build(normalise="standardise", mean=12.0, deviation=0.0)
    assert refusal.value.found == "every pixel of the training fold has the same grey level"
    assert refusal.value.expected == "films that differ, for normalise: standardise"
    assert refusal.value.action == "look at the source's films"
