"""What is counted is what batches show: the films of every batch, told apart by their pixels."""

import contextlib
import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from glassbox.params.experiments import Augmentation, Training
from glassbox.training import batches, data, order, strategies
from glassbox.training.batches import Fold
from glassbox.training.data import TrainingData
from glassbox.training.order import Stretch

#: 100 images of which some are shown never, some four times: 172 in a pass.
DRAWS = np.repeat(np.array([0, 1, 2, 4], np.int32), [20, 24, 38, 18])


@pytest.fixture(scope="module")
def fold(make, tmp_path_factory):
    """100 different images."""
    pixels = np.random.default_rng(5).integers(0, 256, (100, 16, 16), np.uint8)
    return make.fold(tmp_path_factory.mktemp("order") / "fold", pixels, np.arange(100) % 3 == 0, DRAWS)


def number(fold):
    """Image -> its place in a fold."""
    pixels = fold.images.gather(fold.positions)
    return {image.tobytes(): place for place, image in enumerate(pixels)}


def counted(fold, delivered):
    """How often each image of a fold is in some batches; (N,)."""
    known = number(fold)
    shown = [known[image.tobytes()] for images in delivered for image in images]
    return np.bincount(shown, minlength=len(fold))


def replayed(fold, training, stretch):
    """How often each image of a fold was shown, by what is known without it."""
    ids = [str(place) for place in range(len(fold))]
    chosen = order.trained_on(ids, fold.draws, training.images, training.seed)
    found = np.zeros(len(fold), int)
    size = order.batch_size(fold.draws[chosen], training.batch_size)
    found[chosen] = order.exposures(fold.draws[chosen], size, training.seed, stretch)
    return found


@pytest.mark.parametrize("images", [None, 30])
@pytest.mark.parametrize("batch_size", [16, 43, 1000])
@pytest.mark.parametrize("steps_per_epoch", [None, 1, 3, 25])
@pytest.mark.parametrize("passes", [(0, 1), (4, 3), (2, 0)])
def test_exposures_are_those_of_the_batches(fold, images, batch_size, steps_per_epoch, passes):
    first_pass, epochs = passes
    training = Training(seed=7, batch_size=batch_size, images=images)
    rows = pd.DataFrame({"image_id": [str(place) for place in range(100)], "draws": DRAWS})
    at = data._drawn(rows, training, "here").index.to_numpy()
    part = Fold(fold.images, fold.positions[at], fold.labels[at], fold.draws[at])
    size = TrainingData("binary", part, part, Augmentation(), training).batch_size
    steps = epochs * (steps_per_epoch or order.steps(part.draws, size))
    with contextlib.closing(
        batches.training(part, Augmentation(), size, training.seed, first_pass=first_pass)
    ) as stream:
        expected = counted(fold, [images for images, _ in itertools.islice(stream, steps)])
    assert expected.sum() == steps * size
    np.testing.assert_array_equal(replayed(fold, training, Stretch(first_pass, epochs, steps_per_epoch)), expected)


def test_an_image_that_is_drawn_twice_is_counted_twice_and_the_remainder_of_a_pass_is_not(fold):
    one_pass = order.exposures(DRAWS, 43, 1, Stretch(0, 1, None))
    np.testing.assert_array_equal(one_pass, DRAWS)
    short = DRAWS - order.exposures(DRAWS, 50, 1, Stretch(0, 1, None))
    assert short.min() == 0
    assert short.sum() == 172 % 50


def test_what_a_training_that_was_killed_and_stopped_early_showed_is_what_its_history_gives(
    make, easy, tmp_path, monkeypatch
):
    """Exchanged labels raise the validation loss. An epoch of nine steps goes on over the end of two passes."""
    train, validation = easy
    fold = Fold(train.images, train.positions, train.labels[:, ::-1], train.draws)
    films, step = [], strategies.train

    def spy(model, images, *rest):
        films.append(images)
        return step(model, images, *rest)

    monkeypatch.setattr(strategies, "train", spy)
    settings = make.training_data(fold, validation, batch_size=20)
    asked = {"epochs": 9, "first_epoch": 3, "early_stopping": {"patience": 2}, "steps_per_epoch": 9}

    class KilledError(Exception):
        pass

    def kill(epoch):
        if epoch["epoch"] == 4:
            raise KilledError

    with pytest.raises(KilledError):
        make.run(make.tiny(), settings, tmp_path / "phase.npz", on_epoch=kill, **asked)
    rows = make.run(make.tiny(), settings, tmp_path / "phase.npz", **asked)
    assert 3 <= len(rows) < 9
    stretch = Stretch(3, len(rows), 9)
    np.testing.assert_array_equal(replayed(train, settings.training, stretch), counted(train, films))


def test_it_needs_neither_tensorflow_nor_opencv_nor_pandas():
    code = (
        "import sys, glassbox.training.order; print({'tensorflow', 'keras', 'cv2', 'pandas'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
