import keras
import numpy as np
import pytest

from glassbox.networks import backbones, keras_file
from glassbox.networks.errors import ModelError
from glassbox.networks.network import backbone_layers, freeze

SIZE = 32


@pytest.fixture(scope="module")
def pixels():
    """Films of different brightness and contrast."""
    generator = np.random.default_rng(3)
    spans = ((0, 256), (60, 90), (200, 9))
    return np.stack([generator.integers(low, low + span, (SIZE, SIZE)) for low, span in spans]).astype(np.uint8)


@pytest.fixture
def seen(make):
    """What the first layer of the backbone sees of films, for a network built as asked."""

    def seen(films, mean=0.0, deviation=1.0, **changes):
        model = make.build(mean=mean, deviation=deviation, **changes)
        probe = keras.Model(model.inputs[0], backbone_layers(model)[0].input)
        return np.asarray(probe(films))

    return seen


# --- in and out --------------------------------------------------------------------------------------------


@pytest.fixture
def policy():
    """Sets the precision in which networks are built from here on."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("precision", "normalise"),
    [("float32", "none"), ("mixed_bfloat16", "minmax"), ("mixed_float16", "standardise")],
)
def test_a_network_maps_uint8_films_to_float32_probabilities(make, pixels, policy, precision, normalise):
    policy(precision)
    model = make.build(task="single_label", classes=3, dense=(16,), dropout=0.3, normalise=normalise)
    assert (model.input_shape, model.inputs[0].dtype) == ((None, SIZE, SIZE), "uint8")
    assert model.get_layer("block1_conv").compute_dtype == precision.removeprefix("mixed_")
    assert model.get_layer("block1_conv").kernel.dtype == "float32"
    probabilities = np.asarray(model(pixels))
    assert (probabilities.shape, probabilities.dtype) == ((3, 3), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert (probabilities > 0).all()


def test_many_labels_have_a_sigmoid_each_which_do_not_add_up_to_one(make, pixels):
    model = make.build(task="multi_label", classes=15)
    output = model.get_layer("head_output")
    assert output.activation.__name__ == "sigmoid"
    before = np.asarray(model(pixels))
    assert before.shape == (3, 15)
    assert (np.abs(before.sum(axis=1) - 1.0) > 1.0).all()
    kernel, bias = output.get_weights()
    bias[4] += 3.0
    output.set_weights([kernel, bias])
    after = np.asarray(model(pixels))
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
def test_minmax_of_a_film_of_one_grey_level_is_zero(seen, level):
    film = np.full((1, SIZE, SIZE), level, np.uint8)
    np.testing.assert_array_equal(seen(film, normalise="minmax"), 0.0)


def test_standardise_subtracts_the_training_folds_mean_and_divides_by_its_deviation(seen, pixels):
    found = seen(pixels, 117.3, 41.9, normalise="standardise")[..., 0]
    np.testing.assert_allclose(found, (pixels - 117.3) / 41.9, rtol=1e-4, atol=1e-5)


def test_imagenet_preprocessing_comes_after_minmax(seen, pixels):
    spread = seen(pixels, backbone="vgg16", normalise="minmax")
    expected = keras.applications.vgg16.preprocess_input(spread.copy())
    found = seen(pixels, backbone="vgg16", normalise="minmax", preprocess="imagenet")
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_films_without_any_contrast_cannot_be_standardised(make):
    with pytest.raises(ModelError, match="every pixel of the training fold has the same grey level"):
        make.build(normalise="standardise", mean=12.0, deviation=0.0)


# --- the compact backbone ----------------------------------------------------------------------------------


def test_the_compact_backbone_is_what_it_says():
    backbone = backbones.standalone("compact")
    assert backbone.count_params() == pytest.approx(0.28e6, abs=0.005e6)
    kernels = [layer.kernel.shape for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [shape[:2] for shape in kernels] == [(3, 3)] * 6
    assert tuple(shape[3] for shape in kernels) == backbones.COMPACT_FILTERS
    assert backbone.compute_output_shape((1, 64, 64, 1)) == (1, 4, 4, 128)


def test_a_momentum_is_kept_in_the_file_of_a_model(make, tmp_path):
    def momenta(model):
        return [layer.momentum for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]

    assert momenta(make.build()) == [0.9] * 6
    keras_file.save(make.build(momentum=0.8), tmp_path / "model.keras")
    assert momenta(keras_file.load(tmp_path / "model.keras")) == [0.8] * 6


# --- what a step of training changes; which layers are meant is said in test_backbones.py ---------------------

STATISTICS = ("moving_mean", "moving_variance")


def by_name(model):
    """Every weight of a model as an array, by its path."""
    return {weight.path: weight.numpy() for weight in model.weights}


@pytest.fixture
def step(make):
    """Freezes a network as asked, and takes a step of training; the paths of the weights that changed."""

    def step(model, what):
        freeze(model, make.phase(freeze=what).freeze)
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        before = by_name(model)
        positive = np.arange(8) % 2 == 1
        model.train_on_batch(make.films(positive), np.stack([~positive, positive], 1).astype(np.float32))
        after = by_name(model)
        return {path for path in before if not np.array_equal(before[path], after[path])}

    return step


HEAD = {"head_output/kernel", "head_output/bias"}
NORMALISATION = {f"tiny_bn/{name}" for name in ("gamma", "beta", *STATISTICS)}


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("nothing", {"tiny_conv/kernel"} | NORMALISATION | HEAD),
        # The moving statistics of its batch normalisation rest with a backbone.
        ("everything", HEAD),
        ("all_but_batch_normalisation", NORMALISATION | HEAD),
        ({"all_but_last": 1}, NORMALISATION | HEAD),
    ],
)
def test_a_step_changes_what_is_not_frozen_and_nothing_else(make, step, what, changed):
    assert step(make.tiny(), what) == changed


def test_a_loaded_model_whose_backbone_was_frozen_trains_it_when_nothing_is_frozen(make, step, tmp_path):
    """Keras loads such a model with `trainable` true for the whole and false for its layers."""
    network = make.tiny()
    freeze(network, "everything")
    keras_file.save(network, tmp_path / "frozen.keras")
    loaded = keras_file.load(tmp_path / "frozen.keras")
    assert not loaded.get_layer("tiny_conv").trainable
    assert step(loaded, "nothing") == set(by_name(loaded))
