import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import builders
import numpy as np
import pandas as pd
import pytest

from glassbox.artifacts import shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.shards import Images
from glassbox.params.experiments import Augmentation
from glassbox.training import augment, batches, order
from glassbox.training.batches import Fold, in_order, training

PLAIN = Augmentation()
EVERYTHING = Augmentation(
    horizontal_flip=True, shift=0.15, rotation=15.0, shear=2.0, zoom=0.2, brightness=0.2, edges=0.2
)
#: 100 images of which some are shown never, some four times: 172 in an epoch.
DRAWS = np.repeat([0, 1, 2, 4], [20, 24, 38, 18]).tolist()


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(5).integers(0, 256, (100, 16, 16), np.uint8)


@pytest.fixture(scope="module")
def fold(make, pixels, tmp_path_factory):
    """100 different images in three shards."""
    return make.fold(tmp_path_factory.mktemp("batches") / "fold", pixels, np.arange(100) % 3 == 0, DRAWS)


@pytest.fixture
def shown(pixels):
    """The numbers of the images of some batches, in order."""
    number = {image.tobytes(): position for position, image in enumerate(pixels)}
    return lambda delivered: [number[image.tobytes()] for images, _ in delivered for image in images]


def same(one, other):
    """Whether two lists of batches are equal in images and labels."""
    return len(one) == len(other) and all(
        np.array_equal(a, b)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )


def pass_of(fold, augmentation, batch_size, seed, number):
    """The batches of one pass."""
    return take(fold, augmentation, batch_size, seed, order.steps(fold.draws, batch_size), first_pass=number)


def take(fold, augmentation, batch_size, seed, count, **first):
    """Some batches of a stream that has no end, which is then closed."""
    with contextlib.closing(training(fold, augmentation, batch_size, seed, **{"first_pass": 0} | first)) as stream:
        return list(itertools.islice(stream, count))


# --- training ----------------------------------------------------------------------------------------------


def test_a_pass_shows_each_image_as_often_as_it_is_drawn(fold, shown):
    assert fold.draws.sum() == 172
    for batch_size in (1, 4, 43, 172):
        delivered = pass_of(fold, PLAIN, batch_size, 1, 0)
        assert len(delivered) == 172 // batch_size
        counts = Counter(shown(delivered))
        assert [counts[number] for number in range(100)] == DRAWS


def test_a_remainder_that_fills_no_batch_is_left_out_and_is_another_one_each_pass(fold, shown):
    left_out = []
    for number in range(3):
        delivered = pass_of(fold, PLAIN, 50, 1, number)
        assert [images.shape for images, _ in delivered] == [(50, 16, 16)] * 3
        missing = Counter(dict(enumerate(DRAWS)))
        missing.subtract(shown(delivered))
        assert min(missing.values()) == 0
        assert missing.total() == 172 % 50
        left_out.append(+missing)
    assert left_out[0] != left_out[1] != left_out[2] != left_out[0]


def test_each_image_comes_with_its_own_label(fold, shown):
    for images, labels in pass_of(fold, PLAIN, 16, 1, 0):
        assert (images.dtype, labels.dtype, labels.shape) == (np.uint8, np.float32, (16, 2))
        numbers = shown([(images, labels)])
        np.testing.assert_array_equal(labels, fold.labels[numbers])


def test_order_depends_on_seed_and_pass_and_can_be_replayed(fold, shown):
    found = {(seed, number): shown(pass_of(fold, PLAIN, 16, seed, number)) for seed in (1, 2) for number in (0, 1)}
    assert len({tuple(numbers) for numbers in found.values()}) == 4
    assert shown(pass_of(fold, PLAIN, 16, 2, 1)) == found[2, 1]
    assert shown(pass_of(fold, PLAIN, 80, 2, 1)) == found[2, 1], "batches of another size have the same order"


def test_passes_follow_each_other_without_end(fold):
    whole = take(fold, EVERYTHING, 50, 1, 10, first_pass=4)
    passes = [batch for number in (4, 5, 6, 7) for batch in pass_of(fold, EVERYTHING, 50, 1, number)]
    assert same(whole, passes[:10])


@pytest.mark.parametrize("step", [0, 2, 3, 7])
def test_any_step_of_the_stream_can_be_replayed(fold, step):
    whole = take(fold, EVERYTHING, 50, 1, step + 4, first_pass=2)
    assert same(take(fold, EVERYTHING, 50, 1, 4, first_pass=2, first_step=step), whole[step:])


@pytest.mark.parametrize("number", [0, 3])
def test_the_augmentation_of_a_pass_can_be_replayed_from_its_draw(fold, number):
    delivered = np.concatenate([images for images, _ in pass_of(fold, EVERYTHING, 50, 1, number)])
    plain = np.concatenate([images for images, _ in pass_of(fold, PLAIN, 50, 1, number)])
    drawn = augment.draw(EVERYTHING, 172, (1, order.VARIATION, number))
    np.testing.assert_array_equal(delivered, augment.apply(plain, drawn.some(slice(150))))
    assert (delivered != plain).mean() > 0.5


def test_two_showings_of_an_image_differ_within_a_pass_and_between_passes(make, pixels, tmp_path):
    one = make.fold(tmp_path / "one", pixels[:1], np.array([True]), [8])
    seen = [image.tobytes() for images, _ in take(one, EVERYTHING, 4, 1, 4) for image in images]
    assert len(set(seen)) == 16


def test_the_last_batch_of_a_fold_that_fills_none_is_what_there_is(fold):
    assert order.steps(fold.draws, 500) == 1
    assert [len(images) for images, _ in take(fold, PLAIN, 500, 1, 3)] == [172] * 3


# --- prediction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 16, 100, 128])
def test_in_order_gives_each_image_once_and_fills_the_last_batch_with_the_last_image(fold, pixels, batch_size):
    delivered = list(in_order(fold, batch_size))
    assert {len(images) for images in delivered} == {batch_size}
    images = np.concatenate(delivered)
    np.testing.assert_array_equal(images[:100], pixels)
    assert 0 <= len(images) - 100 < batch_size
    assert (images[100:] == pixels[-1]).all()


def test_in_order_transforms_each_image_as_drawn(fold, pixels):
    drawn = augment.draw(EVERYTHING, 100, (1, 2))
    images = np.concatenate(list(in_order(fold, 16, drawn)))[:100]
    np.testing.assert_array_equal(images, augment.apply(pixels, drawn))


# --- a split's rows ----------------------------------------------------------------------------------------


def test_a_fold_has_the_images_labels_and_draws_of_its_rows_in_their_order(fold, pixels):
    rows = pd.DataFrame({"image_id": ["3", "0", "3"], "draws": np.array([2, 1, 1], np.int32)})
    rows["label_No Finding"], rows["label_Mass"] = np.array([[1, 0], [0, 1], [1, 0]], np.uint8).T
    rows["pixels_sha256"] = [shards.digest(pixels[int(image)]) for image in rows["image_id"]]
    found = Fold.of(fold.images, rows)
    np.testing.assert_array_equal(np.concatenate(list(in_order(found, 3))), pixels[[3, 0, 3]])
    np.testing.assert_array_equal(found.labels, np.array([[1, 0], [0, 1], [1, 0]], np.float32))
    np.testing.assert_array_equal(found.draws, [2, 1, 1])
    assert (found.positions.dtype, found.labels.dtype, found.draws.dtype) == (np.int64, np.float32, np.int32)


# --- pixels that were changed ------------------------------------------------------------------------------


@pytest.fixture
def changed(make, pixels, tmp_path):
    """A fold of 100 images in three shards, in the second of which one pixel of image 50 is brighter by one."""
    fold = make.fold(tmp_path / "fold", pixels, np.arange(100) % 3 == 0)
    shard = tmp_path / "fold/data/shards/films/part-00001.h5"
    content = bytearray(shard.read_bytes())
    place = content.index(pixels[50].tobytes())
    content[place + 99] ^= 1
    shard.write_bytes(content)
    with contextlib.chdir(tmp_path / "fold"):
        return Fold(shards.Images("films"), fold.positions, fold.labels, fold.draws)


@pytest.mark.parametrize("stream", ["training", "in order"])
def test_one_changed_pixel_of_an_image_that_is_read_is_refused_with_its_shard(changed, stream):
    with pytest.raises(ArtifactError, match=r"part-00001\.h5 has in row 10 pixels .*\n.*resize@films"):
        _ = take(changed, PLAIN, 10, 1, 10) if stream == "training" else list(in_order(changed, 10))


def test_a_changed_pixel_of_an_image_that_is_not_read_disturbs_nobody(changed, pixels):
    others = np.delete(np.arange(100), 50)
    fold = Fold(changed.images, others, changed.labels[others], changed.draws[others])
    np.testing.assert_array_equal(np.concatenate(list(in_order(fold, 9))), pixels[others])


# --- the threads -------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 2, 5])
def threads(request, monkeypatch):
    """A machine of so many cores; the threads that were there before."""
    monkeypatch.setattr(batches, "cores", lambda: request.param)
    return set(threading.enumerate())


def test_batches_and_their_order_are_the_same_whatever_the_number_of_threads(fold, threads, monkeypatch):
    """Those that are begun first take longest."""
    drawn, gather, number = augment.draw(EVERYTHING, 100, (1, 2)), Images.gather, itertools.count()

    def slow(images, positions):
        time.sleep((0.02, 0.01, 0)[next(number) % 3])
        return gather(images, positions)

    def made():
        return take(fold, EVERYTHING, 16, 1, 25, first_step=7), list(in_order(fold, 16, drawn))

    with monkeypatch.context() as patch:
        patch.setattr(Images, "gather", slow)
        found = made()
    monkeypatch.setattr(batches, "cores", lambda: 1)
    expected = made()
    assert same(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_as_many_threads_as_cores_make_two_batches_each_ahead(fold, threads, monkeypatch):
    """The first batches wait for each other, which one thread fewer could not make."""
    count, gather, made = batches.cores(), Images.gather, []
    together, number = threading.Barrier(count), itertools.count()

    def counted(images, positions):
        if next(number) < count:
            together.wait(60)
        made.append(len(positions))
        return gather(images, positions)

    monkeypatch.setattr(Images, "gather", counted)
    with contextlib.closing(training(fold, EVERYTHING, 1, 1, first_pass=0)) as stream:
        next(stream)
        assert len(set(threading.enumerate()) - threads) == count
        while len(made) < 1 + 2 * count:
            time.sleep(0.01)
        time.sleep(0.1)  # a network that is slower than its batches
        assert len(made) == 1 + 2 * count
    assert not set(threading.enumerate()) - threads


def test_an_error_while_a_batch_is_made_is_raised_where_it_is_awaited(fold, threads):
    positions = fold.positions.copy()
    positions[40] = 10_000
    delivered = in_order(Fold(fold.images, positions, fold.labels, fold.draws), 16)
    next(delivered)
    next(delivered)
    with pytest.raises(IndexError, match="10000"):
        next(delivered)
    assert not set(threading.enumerate()) - threads


def test_an_error_while_a_batch_of_training_is_made_is_raised_where_it_is_awaited(fold, threads):
    lost = Fold(fold.images, np.full_like(fold.positions, 10_000), fold.labels, fold.draws)
    with pytest.raises(IndexError, match="10000"):
        take(lost, PLAIN, 16, 1, 1)
    assert not set(threading.enumerate()) - threads


@pytest.mark.parametrize("leave", ["closed", "forgotten"])
def test_a_stream_that_is_abandoned_ends_its_threads(fold, threads, leave):
    delivered = training(fold, EVERYTHING, 1, 1, first_pass=0)
    next(delivered)
    if leave == "closed":
        delivered.close()
    else:
        del delivered
    assert not set(threading.enumerate()) - threads


MEMORY = """\
import itertools
import time
from pathlib import Path
import numpy as np
import pandas
from glassbox.artifacts.shards import Images, read_index
from glassbox.training import batches
from glassbox.training.batches import Fold, training
from glassbox.params.experiments import Augmentation

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) / 1024

batches.cores = lambda: 4
read_index("films")  # what the first use of a library takes is no matter of the images
before = anonymous()
images, count = Images("films"), 6_400
fold = Fold(images, np.arange(count), np.zeros((count, 2), np.float32), np.ones(count, np.int32))
stream = training(fold, Augmentation(rotation=5.0), 64, 1, first_pass=0)
next(stream)
time.sleep(0.5)  # a network that is slower than its batches
print(max(anonymous() for _ in itertools.islice(stream, 99)) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the measure is Linux's")
def test_a_pass_over_105_megabytes_takes_less_than_32_of_memory(tmp_path, monkeypatch):
    """A batch is 1 MiB and four threads make eight ahead; what the system caches of a shard is not counted."""
    monkeypatch.chdir(tmp_path)
    levels = (np.arange(6_400) % 251).astype(np.uint8)
    pixels = np.broadcast_to(levels[:, None, None], (6_400, 128, 128))
    builders.write_shards("films", [str(number) for number in range(6_400)], pixels, per_shard=6_400)
    measured = subprocess.run([sys.executable, "-c", MEMORY], check=False, capture_output=True, text=True)
    assert measured.returncode == 0, measured.stderr
    assert float(measured.stdout) < 32


def test_images_are_gathered_in_the_order_asked_for_from_any_shard(fold, pixels):
    asked = np.array([99, 0, 41, 41, 80, 39])
    np.testing.assert_array_equal(fold.images.gather(asked), pixels[asked])
