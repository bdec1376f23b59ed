"""Images out of shards: those that were stored, or a refusal that names the shard."""

import builders
import h5py
import numpy as np
import pytest

from glassbox.artifacts import shards
from glassbox.artifacts.damage import ArtifactError

IDS = [f"{number}.png" for number in range(7)]


@pytest.fixture
def pixels(tmp_path, monkeypatch):
    """The pixels of seven images, which lie in two shards of the current folder."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (7, 16, 16), dtype=np.uint8)
    builders.write_shards("small", IDS, noise, per_shard=4)
    return noise


@pytest.fixture
def ask(pixels):
    """`ask(images)`: the pixels of some, by their ids and digests."""
    digests = dict(zip(IDS, map(shards.digest, pixels), strict=True))

    def ask(wanted, images=None):
        images = images or shards.Images("small")
        return images.gather(images.positions(wanted, [digests[image] for image in wanted]))

    return ask


def test_gathered_images_are_those_that_were_stored(ask, pixels):
    found = ask(IDS)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)
    with h5py.File("data/shards/small/part-00000.h5") as shard:
        assert np.array_equal(found[:4], shard["images"][:])


def test_any_order_and_any_repetition_can_be_asked_for_and_nothing_too(ask, pixels):
    wanted = np.random.default_rng(1).integers(0, 7, 40)
    assert np.array_equal(ask([IDS[number] for number in wanted]), pixels[wanted])
    assert ask([]).shape == (0, 16, 16)


def test_what_is_gathered_is_a_copy(ask, pixels):
    images = shards.Images("small")
    ask(IDS[5:6], images)[:] = 0
    assert np.array_equal(ask(IDS[5:6], images)[0], pixels[5])


@pytest.mark.parametrize("byte", range(3))
def test_an_image_of_which_a_bit_was_flipped_is_refused_by_its_shard_and_row_and_no_other_is(byte, ask, pixels):
    shard = shards.folder("small") / "part-00001.h5"
    content = bytearray(shard.read_bytes())
    content[content.index(pixels[5].tobytes()) + (0, 100, 255)[byte]] ^= 0x04
    shard.write_bytes(content)
    with pytest.raises(ArtifactError) as refusal:
        ask(IDS)
    assert refusal.value.found.startswith(f"{shard} has in row 1 pixels of SHA-256 ")
    assert "`dvc repro --force resize@small`" in refusal.value.action
    others = [number for number in range(7) if number != 5]
    assert np.array_equal(ask([IDS[number] for number in others]), pixels[others])


def test_a_shard_in_the_place_of_another_is_refused(ask):
    folder = shards.folder("small")
    (folder / "part-00001.h5").write_bytes((folder / "part-00000.h5").read_bytes())
    with pytest.raises(ArtifactError, match=r"part-00001\.h5 holds uint8 \(4, 16, 16\), not uint8 \(3, 16, 16\)"):
        ask(IDS)


def test_an_image_that_the_shards_lack_or_that_is_not_the_one_meant_is_refused(pixels):
    images, right = shards.Images("small"), shards.digest(pixels[0])
    with pytest.raises(ArtifactError, match=r"lacks the image other\.png"):
        images.positions(["0.png", "other.png"], [right, right])
    with pytest.raises(ArtifactError, match=r"holds other pixels under the name of the image 1\.png"):
        images.positions(["0.png", "1.png"], [right, right])
