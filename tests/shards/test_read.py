import h5py
import numpy as np
import pandas as pd
import pytest

from glassbox.errors import SplitError
from glassbox.shards.read import Images

COUNTS = {"part-00001.h5": 4, "part-00000.h5": 3}


@pytest.fixture
def folder(tmp_path):
    """Two shards, the second listed first, and their index."""
    index = []
    for seed, (name, count) in enumerate(COUNTS.items()):
        images = np.random.default_rng(seed).integers(0, 256, (count, 16, 16), dtype=np.uint8)
        with h5py.File(tmp_path / name, "w") as shard:
            shard.create_dataset("images", data=images)
        index += [(f"{name}/{row}.png", name, row) for row in range(count)]
    pd.DataFrame(index, columns=["image_id", "shard", "row"]).to_parquet(tmp_path / "index.parquet")
    return tmp_path


def _expected(folder):
    """image_id -> pixels, read by h5py."""
    stored = {}
    for name in COUNTS:
        with h5py.File(folder / name) as shard:
            stored |= {f"{name}/{row}.png": pixels for row, pixels in enumerate(shard["images"][:])}
    return stored


def test_gathered_images_are_those_that_h5py_reads(folder):
    images, expected = Images(folder), _expected(folder)
    assert images.size == 16
    gathered = images.gather(images.positions(list(expected)))
    assert gathered.dtype == np.uint8
    assert np.array_equal(gathered, np.stack(list(expected.values())))


@pytest.mark.parametrize("seed", range(3))
def test_any_order_and_any_repetition_can_be_asked_for(seed, folder):
    images, expected = Images(folder), _expected(folder)
    wanted = np.random.default_rng(seed).choice(list(expected), 40).tolist()
    assert np.array_equal(images.gather(images.positions(wanted)), np.stack([expected[name] for name in wanted]))


def test_nothing_can_be_asked_for(folder):
    images = Images(folder)
    assert images.gather(images.positions([])).shape == (0, 16, 16)


def test_what_is_gathered_is_a_copy(folder):
    images = Images(folder)
    positions = images.positions(["part-00000.h5/0.png"])
    images.gather(positions)[:] = 0
    assert np.array_equal(images.gather(positions)[0], _expected(folder)["part-00000.h5/0.png"])


def test_an_image_that_the_shards_lack_is_refused(folder):
    images = Images(folder)
    with pytest.raises(SplitError) as refusal:
        images.positions(["part-00000.h5/0.png", "other.png"])
    assert refusal.value.found == "image 'other.png' is not in the shards"
    assert "dvc repro" in refusal.value.action
