import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from glassbox.errors import ModelError
from glassbox.learning.batches import Fold, read_split
from glassbox.learning.lesson import Lesson


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
    found = make.lesson(fold, fold, class_weight="balanced").class_weights()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[shown].mean() == pytest.approx(1.0), "a pass weighs as much as without"


def test_without_class_weights_there_are_none(make):
    fold = folds([1, 1], [0, 1])
    assert make.lesson(fold, fold).class_weights() is None


def test_a_fold_smaller_than_a_batch_makes_one_smaller_batch(make):
    fold = folds([2, 0, 3], [0, 1, 1])
    assert make.lesson(fold, fold, batch_size=16).batch_size == 5
    assert make.lesson(fold, fold, batch_size=4).batch_size == 4


def test_an_experiments_lesson_has_the_rows_of_its_split_and_never_the_test_fold(make, data, monkeypatch):
    monkeypatch.chdir(data)
    lesson = Lesson.of(make.parameters(x=make.experiment()), "x")
    rows = read_split("squares")
    assert lesson.task == "binary"
    for fold, name in ((lesson.train, "train"), (lesson.validation, "validation")):
        own = rows[rows["fold"] == name]
        np.testing.assert_array_equal(fold.positions, fold.images.positions(own["image_id"].tolist()))
        np.testing.assert_array_equal(fold.labels, own[["label_No Finding", "label_Mass"]])
        np.testing.assert_array_equal(fold.draws, own["draws"])
    seen = {*lesson.train.positions, *lesson.validation.positions}
    test = lesson.train.images.positions(rows.loc[rows["fold"] == "test", "image_id"].tolist())
    assert len(test)
    assert not seen & {*test}


def test_balanced_class_weights_need_an_image_of_each_class(make):
    fold = folds([1, 1, 0], [0, 1, 2])
    with pytest.raises(ModelError) as refusal:
        make.lesson(fold, fold, class_weight="balanced").class_weights()
    assert refusal.value.found.startswith(
        "training.class_weight: balanced, but 1 of 3 classes have none of the 3 "
    )
    assert refusal.value.expected == "at least one image of each class"
    assert refusal.value.action == "raise training.images, or set training.class_weight to none"


@pytest.fixture
def trained_on(make, data, monkeypatch):
    """The training fold of an experiment that is to train on so many images, and its validation fold."""
    monkeypatch.chdir(data)

    def trained_on(images):
        training = {"seed": 4, "batch_size": 16, "images": images}
        lesson = Lesson.of(make.parameters(x=make.experiment(training=training)), "x")
        return lesson.train, lesson.validation

    return trained_on


def test_so_many_images_are_drawn_in_the_order_of_the_fold_and_fewer_are_some_of_them(trained_on):
    whole, validation = trained_on(None)
    place = {position: number for number, position in enumerate(whole.positions.tolist())}
    before = set()
    for images in (1, 7, 20, len(whole)):
        fold, same = trained_on(images)
        chosen = [place[position] for position in fold.positions.tolist()]
        assert chosen == sorted(set(chosen))
        assert len(chosen) == images
        np.testing.assert_array_equal(fold.labels, whole.labels[chosen])
        np.testing.assert_array_equal(fold.draws, whole.draws[chosen])
        np.testing.assert_array_equal(same.positions, validation.positions)
        assert before < set(chosen)
        before = set(chosen)
    assert [place[position] for position in trained_on(7)[0].positions.tolist()] != list(range(7))


def test_more_images_than_there_are_cannot_be_trained_on(trained_on):
    whole, _ = trained_on(None)
    with pytest.raises(ModelError) as refusal:
        trained_on(len(whole) + 1)
    assert refusal.value.found == (
        f"experiments.x.training.images is {len(whole) + 1}; the training fold has {len(whole)}"
    )
    assert refusal.value.expected == "no more images than there are"
