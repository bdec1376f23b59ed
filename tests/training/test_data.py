import builders
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from glassbox.artifacts import recipe, split
from glassbox.networks.errors import ModelError
from glassbox.training.batches import Fold
from glassbox.training.data import TrainingData


def folds(draws, classes):
    """A fold without images, whose labels are one-hot."""
    labels = np.eye(max(classes) + 1, dtype=np.float32)[classes]
    return Fold(None, np.arange(len(classes)), labels, np.asarray(draws, np.int32))


@pytest.mark.parametrize(
    ("classes", "draws"),
    [
        ([0] * 30 + [1] * 10, [1] * 40),
        ([0, 1, 1, 2, 2, 2, 2, 2], [1] * 8),
        ([0, 1, 1, 2], [5, 0, 1, 2]),
    ],
)
def test_balanced_class_weights_are_those_of_scikit_learn_over_what_a_pass_shows(make, classes, draws):
    fold = folds(draws, classes)
    shown = np.repeat(classes, draws)
    expected = compute_class_weight("balanced", classes=np.unique(classes), y=shown)
    found = make.training_data(fold, fold, class_weight="balanced").class_weights()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[shown].mean() == pytest.approx(1.0), "a pass weighs as much as without"


def test_without_class_weights_there_are_none(make):
    fold = folds([1, 1], [0, 1])
    assert make.training_data(fold, fold).class_weights() is None


def test_balanced_class_weights_need_an_image_of_each_class(make):
    fold = folds([1, 1, 0], [0, 1, 2])
    with pytest.raises(ModelError, match="class_weight: balanced, but 1 of 3 classes have none of the 3 images"):
        make.training_data(fold, fold, class_weight="balanced").class_weights()


def test_a_fold_smaller_than_a_batch_makes_one_smaller_batch(make):
    fold = folds([2, 0, 3], [0, 1, 1])
    assert make.training_data(fold, fold, batch_size=16).batch_size == 5
    assert make.training_data(fold, fold, batch_size=4).batch_size == 4


# --- of an experiment --------------------------------------------------------------------------------------


@pytest.fixture
def training_data(make, project):
    """The data of an experiment on the films of the project that is to train on so many images."""

    def training_data(images=None):
        training = {"seed": 4, "batch_size": 16, "images": images}
        make.resolve(x=builders.experiment(training=training))
        return TrainingData.of(recipe.phase("x", "fine_tune"))

    return training_data


def test_an_experiments_data_have_the_rows_of_its_split_and_never_the_test_fold(training_data):
    found, seen = training_data(), set()
    assert found.task == "binary"
    for fold, name in ((found.train, "train"), (found.validation, "validation")):
        rows = split.read("squares", name)
        positions = fold.images.positions(rows["image_id"].tolist(), rows["pixels_sha256"].tolist())
        np.testing.assert_array_equal(fold.positions, positions)
        np.testing.assert_array_equal(fold.labels, rows[["label_No Finding", "label_Mass"]])
        np.testing.assert_array_equal(fold.draws, rows["draws"])
        seen |= {*fold.positions.tolist()}
    test = split.read("squares", "test")
    unseen = found.train.images.positions(test["image_id"].tolist(), test["pixels_sha256"].tolist())
    assert len(unseen)
    assert not seen & {*unseen.tolist()}


def test_validation_shows_an_image_as_often_as_a_leaking_procedure_drew_it(make, training_data):
    rows = make.rows()
    drawn = rows.index[rows["fold"] == "validation"][1]
    rows.loc[drawn, "draws"] = 3
    make.write_rows(rows)
    before, validation = rows[rows["fold"] == "validation"], training_data().validation
    assert len(validation) == len(before) + 2
    assert validation.positions[1] == validation.positions[2] == validation.positions[3]
    assert set(validation.draws) == {1}


def test_so_many_images_are_drawn_in_the_order_of_the_fold_and_fewer_are_some_of_them(training_data):
    whole = training_data()
    place = {position: number for number, position in enumerate(whole.train.positions.tolist())}
    before = set()
    for images in (1, 7, 20, len(whole.train)):
        found = training_data(images)
        chosen = [place[position] for position in found.train.positions.tolist()]
        assert chosen == sorted(set(chosen))
        assert len(chosen) == images
        np.testing.assert_array_equal(found.train.labels, whole.train.labels[chosen])
        np.testing.assert_array_equal(found.train.draws, whole.train.draws[chosen])
        np.testing.assert_array_equal(found.validation.positions, whole.validation.positions)
        assert before < set(chosen)
        before = set(chosen)
    assert [place[position] for position in training_data(7).train.positions.tolist()] != list(range(7))


def test_a_film_less_in_the_fold_exchanges_one_of_the_drawn_at_most(make, training_data):
    rows = make.rows()
    found = training_data(15).train
    drawn, exchanged = set(found.positions.tolist()), []
    for row in rows.index[rows["fold"] == "train"][::4]:
        film = found.images.positions([rows.loc[row, "image_id"]], [rows.loc[row, "pixels_sha256"]])
        make.write_rows(rows.drop(row))
        without = set(TrainingData.of(recipe.phase("x", "fine_tune")).train.positions.tolist())
        assert drawn - without == drawn & {*film.tolist()}
        exchanged.append(len(drawn - without))
    assert set(exchanged) == {0, 1}


def test_more_images_than_there_are_cannot_be_trained_on(training_data):
    count = len(training_data().train)
    found = f"experiments.x.training.images is {count + 1}; the training fold has {count}"
    with pytest.raises(ModelError, match=found):
        training_data(count + 1)
