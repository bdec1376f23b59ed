import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox import layout
from glassbox.learning import augment, batches
from glassbox.learning.batches import Fold, in_order, steps, training
from glassbox.params import Augmentation
from glassbox.shards.read import Images

PLAIN = Augmentation()
EVERYTHING = Augmentation(horizontal_flip=True, shift=0.15, rotation=15.0, shear=2.0, zoom=0.2)
#: 100 images of which some are shown never, some four times: 172 in an epoch.
DRAWS = np.repeat([0, 1, 2, 4], [20, 24, 38, 18]).tolist()


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(5).integers(0, 256, (100, 16, 16), np.uint8)


@pytest.fixture(scope="module")
def fold(make, pixels, tmp_path_factory):
    """100 different images in three shards."""
    return make.fold(tmp_path_factory.mktemp("fold") / "shards", pixels, np.arange(100) % 3 == 0, DRAWS)


@pytest.fixture
def shown(pixels):
    """The numbers of the images of some batches, in order."""
    number = {image.tobytes(): position for position, image in enumerate(pixels)}
    return lambda delivered: [number[image.tobytes()] for images, _ in delivered for image in images]


# --- training ----------------------------------------------------------------------------------------------


def test_an_epoch_shows_each_image_as_often_as_it_is_drawn(fold, shown):
    assert fold.draws.sum() == 172
    for batch_size in (1, 4, 43, 172):
        delivered = list(training(fold, PLAIN, batch_size, 1, 0))
        assert len(delivered) == steps(fold, batch_size) == 172 // batch_size
        counts = Counter(shown(delivered))
        assert [counts[number] for number in range(100)] == DRAWS


def test_a_remainder_that_fills_no_batch_is_left_out_and_is_another_one_each_epoch(fold, shown):
    left_out = []
    for epoch in range(3):
        delivered = list(training(fold, PLAIN, 50, 1, epoch))
        assert [images.shape for images, _ in delivered] == [(50, 16, 16)] * 3
        missing = Counter(dict(enumerate(DRAWS)))
        missing.subtract(shown(delivered))
        assert min(missing.values()) == 0
        assert missing.total() == 172 % 50
        left_out.append(+missing)
    assert left_out[0] != left_out[1] != left_out[2] != left_out[0]


def test_each_image_comes_with_its_own_label(fold, shown):
    for images, labels in training(fold, PLAIN, 16, 1, 0):
        assert (images.dtype, labels.dtype, labels.shape) == (np.uint8, np.float32, (16, 2))
        numbers = shown([(images, labels)])
        np.testing.assert_array_equal(labels, fold.labels[numbers])


def test_order_depends_on_seed_and_epoch_and_can_be_replayed(fold, shown):
    order = {(seed, epoch): shown(training(fold, PLAIN, 16, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}
    assert len({tuple(numbers) for numbers in order.values()}) == 4
    assert shown(training(fold, PLAIN, 16, 2, 1)) == order[2, 1]
    assert shown(training(fold, PLAIN, 80, 2, 1)) == order[2, 1], "batches of another size have the same order"


@pytest.mark.parametrize("epoch", [0, 3])
def test_an_epochs_augmentation_can_be_replayed_from_its_draw(fold, epoch):
    delivered = np.concatenate([images for images, _ in training(fold, EVERYTHING, 50, 1, epoch)])
    plain = np.concatenate([images for images, _ in training(fold, PLAIN, 50, 1, epoch)])
    drawn = augment.draw(EVERYTHING, 172, (1, batches._AFFINE, epoch))
    np.testing.assert_array_equal(delivered, augment.warp(plain, augment.matrices(drawn, 16)[:150]))
    assert (delivered != plain).mean() > 0.5


def test_two_showings_of_an_image_differ_within_an_epoch_and_between_epochs(make, pixels, tmp_path):
    one = make.fold(tmp_path / "one", pixels[:1], np.array([True]), [8])
    seen = [
        image.tobytes()
        for epoch in (0, 1)
        for images, _ in training(one, EVERYTHING, 4, 1, epoch)
        for image in images
    ]
    assert len(set(seen)) == 16


def test_a_fold_smaller_than_a_batch_is_one_smaller_batch(fold):
    assert steps(fold, 500) == 1
    assert [len(images) for images, _ in training(fold, PLAIN, 500, 1, 0)] == [172]


# --- prediction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 16, 50, 100, 128])
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
    np.testing.assert_array_equal(images, augment.warp(pixels, augment.matrices(drawn, 16)))


def test_a_fold_has_the_rows_of_a_split_in_its_order(make, data, monkeypatch):
    monkeypatch.chdir(data)
    train, validation = batches.folds(make.parameters(x=make.experiment()).experiments["x"])
    rows = pq.read_table(layout.split("squares") / "split.parquet").to_pandas()
    for fold, name in ((train, "train"), (validation, "validation")):
        own = rows[rows["fold"] == name]
        assert len(fold) == len(own)
        np.testing.assert_array_equal(fold.positions, fold.images.positions(own["image_id"].tolist()))
        np.testing.assert_array_equal(fold.labels, own[["label_No Finding", "label_Mass"]])
        np.testing.assert_array_equal(fold.draws, own["draws"])


# --- the thread --------------------------------------------------------------------------------------------


def test_an_error_while_a_batch_is_made_is_raised_where_it_is_awaited(fold):
    positions = fold.positions.copy()
    positions[40] = 10_000
    delivered = in_order(Fold(fold.images, positions, fold.labels, fold.draws), 16)
    threads = set(threading.enumerate())
    next(delivered)
    next(delivered)
    with pytest.raises(IndexError, match="10000"):
        next(delivered)
    assert not set(threading.enumerate()) - threads


@pytest.mark.parametrize("leave", ["closed", "forgotten"])
def test_an_epoch_that_is_abandoned_ends_its_thread(fold, leave):
    threads = set(threading.enumerate())
    delivered = training(fold, EVERYTHING, 1, 1, 0)
    next(delivered)
    assert len(set(threading.enumerate()) - threads) == 1
    if leave == "closed":
        delivered.close()
    else:
        del delivered
    assert not set(threading.enumerate()) - threads


MEMORY = """\
import sys
import time
from pathlib import Path
import numpy as np
from glassbox.learning.batches import Fold, training
from glassbox.params import Augmentation
from glassbox.shards.read import Images

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) / 1024

before = anonymous()
images, count = Images(Path(sys.argv[1])), 12_800
fold = Fold(images, np.arange(count), np.zeros((count, 2), np.float32), np.ones(count, np.int32))
epoch = training(fold, Augmentation(rotation=5.0), 64, 1, 0)
next(epoch)
time.sleep(0.5)  # a network that is slower than its batches
print(anonymous() - before, max(anonymous() for _ in epoch) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the measure is Linux's")
def test_an_epoch_over_210_megabytes_takes_less_than_64_of_memory(tmp_path):
    """A batch is 1 MiB and a handful are ready ahead; what the system caches of the shard is no part of this.

    Most of it is the index of 12,800 images and what the first use of each library takes.
    """
    with h5py.File(tmp_path / "part-00000.h5", "w", libver="earliest") as shard:
        images = shard.create_dataset("images", (12_800, 128, 128), np.uint8)
        for start in range(0, 12_800, 800):
            images[start : start + 800] = np.full((800, 128, 128), start % 251, np.uint8)
    assert (tmp_path / "part-00000.h5").stat().st_size > 209e6
    index = {
        "image_id": [str(number) for number in range(12_800)],
        "shard": ["part-00000.h5"] * 12_800,
        "row": pa.array(range(12_800), pa.int32()),
    }
    pq.write_table(pa.table(index), tmp_path / "index.parquet")
    measured = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)], check=True, capture_output=True, text=True
    )
    waiting, most = map(float, measured.stdout.split())
    assert waiting < 64
    assert most < 64


def test_images_are_gathered_in_the_order_asked_for_from_any_shard(fold, pixels):
    asked = np.array([99, 0, 41, 41, 80, 39])
    np.testing.assert_array_equal(fold.images.gather(asked), pixels[asked])
    assert isinstance(fold.images, Images)
