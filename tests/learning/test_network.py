import keras
import numpy as np
import pytest

from glassbox.errors import ModelError
from glassbox.learning import backbones, network
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
        model = network.build(make.model(**changes), SIZE, 2, mean, deviation)
        probe = keras.Model(model.inputs[0], backbone_layers(model)[0].input)
        return np.asarray(probe(films.astype(np.uint8)))

    return seen


# --- in and out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_network_maps_uint8_films_to_float32_probabilities(make, pixels, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = network.build(make.model(dense=(16,), dropout=0.3), SIZE, 3, 0.0, 1.0)
    finally:
        keras.config.set_dtype_policy("float32")
    assert (model.input_shape, model.inputs[0].dtype) == ((None, SIZE, SIZE), "uint8")
    assert model.get_layer("block1_conv").compute_dtype == policy.removeprefix("mixed_")
    probabilities = model.predict_on_batch(pixels.astype(np.uint8))
    assert (probabilities.shape, probabilities.dtype) == ((3, 3), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert (probabilities > 0).all()


def test_the_head_is_pooling_dense_layers_dropout_and_output(make):
    model = network.build(make.model(dense=(16, 8), dropout=0.3), SIZE, 2, 0.0, 1.0)
    head = model.layers[model.layers.index(backbone_layers(model)[-1]) + 1 :]
    assert [layer.name for layer in head] == [
        "head_pool",
        "head_dense1",
        "head_dense2",
        "head_dropout",
        "head_output",
    ]
    assert [head[1].units, head[2].units, head[3].rate, head[4].units] == [16, 8, 0.3, 2]
    assert [head[1].activation.__name__, head[4].activation.__name__] == ["relu", "softmax"]


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
    model = network.build(make.model(normalise="minmax"), SIZE, 2, 0.0, 1.0)
    assert np.isfinite(model.predict_on_batch(film)).all()


def test_standardise_subtracts_the_training_folds_mean_and_divides_by_its_deviation(seen, pixels):
    found = seen(pixels, 117.3, 41.9, normalise="standardise")[..., 0]
    np.testing.assert_allclose(found, (pixels - 117.3) / 41.9, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50"])
def test_imagenet_preprocessing_is_that_of_keras_applications(seen, pixels, backbone):
    three = np.repeat(pixels[..., None], 3, axis=-1).astype(np.float32)
    expected = getattr(keras.applications, backbone).preprocess_input(three)
    np.testing.assert_allclose(seen(pixels, backbone=backbone, preprocess="imagenet"), expected, atol=1e-4)


def test_imagenet_preprocessing_comes_after_minmax(seen, pixels):
    spread = seen(pixels, backbone="vgg16", normalise="minmax")
    expected = keras.applications.vgg16.preprocess_input(spread.copy())
    found = seen(pixels, backbone="vgg16", normalise="minmax", preprocess="imagenet")
    np.testing.assert_allclose(found, expected, atol=1e-4)


# --- the backbone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backbone", "layers"), [("vgg16", 18), ("resnet50", 174), ("compact", 22)])
def test_the_backbone_lies_flat_in_the_network_in_its_own_order(make, request, backbone, layers):
    if backbone == "compact":
        model = network.build(make.model(normalise="standardise"), SIZE, 2, 0.0, 1.0)
    else:
        model = request.getfixturevalue(backbone)
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]
    alone = backbones.standalone(backbone)
    assert isinstance(alone.layers[0], keras.layers.InputLayer)
    assert len(alone.layers) == layers + 1
    assert [layer.name for layer in backbone_layers(model)] == [layer.name for layer in alone.layers[1:]]


def test_the_compact_backbone_is_what_it_says():
    backbone = backbones.standalone("compact")
    assert backbone.count_params() == pytest.approx(0.28e6, abs=0.005e6)
    kernels = [layer.kernel.shape for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [shape[:2] for shape in kernels] == [(3, 3)] * 6
    assert tuple(shape[3] for shape in kernels) == backbones.COMPACT_FILTERS
    assert backbone.compute_output_shape((1, 64, 64, 1)) == (1, 4, 4, 128)


# --- refusals ----------------------------------------------------------------------------------------------


def test_films_too_small_for_a_backbone_are_refused(make):
    with pytest.raises(ModelError) as refusal:
        network.build(make.model(backbone="vgg16"), 16, 2, 0.0, 1.0)
    assert refusal.value.found.startswith("backbone vgg16 cannot be built for 16 x 16 pixels: ")
    assert refusal.value.expected == "a size that leaves the last feature map at least one pixel"
    assert refusal.value.action == "set a larger size for the dataset"


def test_films_without_any_contrast_cannot_be_standardised(make):
    with pytest.raises(ModelError) as refusal:
        network.build(make.model(normalise="standardise"), SIZE, 2, 12.0, 0.0)
    assert refusal.value.found == "every pixel of the training fold has the same grey level"
    assert refusal.value.expected == "films that differ, for normalise: standardise"
    assert refusal.value.action == "look at the source's films"
