from collections import Counter

import numpy as np
import pytest

from glassbox.keyed import Purpose, number
from glassbox.shards.plans import cut

#: 6,000 films of 2,000 patients.
IMAGES = [f"{patient:08d}_{film:03d}.png" for patient in range(2_000) for film in range(1 + patient**2 % 7)]


def shards(images, about):
    return [tuple(images[part]) for part in cut(images, about)]


@pytest.mark.parametrize("about", [1, 2, 3, 7, 64, 256, 100_000])
@pytest.mark.parametrize("count", [0, 1, 5, 300])
def test_every_image_is_in_one_shard_and_they_are_in_order(about, count):
    found = shards(IMAGES[:count], about)
    assert [image for shard in found for image in shard] == IMAGES[:count]
    assert all(found)


@pytest.mark.parametrize(("about", "least", "most"), [(1, 1, 1), (2, 1, 3), (3, 2, 4), (16, 8, 24), (64, 32, 96)])
def test_a_shard_has_half_as_many_to_half_as_many_again_and_about_as_many_on_average(about, least, most):
    sizes = [len(shard) for shard in shards(IMAGES, about)]
    assert least <= min(sizes[:-1]) <= 1.1 * least
    assert 0.9 * most <= max(sizes[:-1]) <= most
    assert sizes[-1] <= most
    # A little more: what a shard could have ended with but did not is no small hash for the next.
    assert about <= np.mean(sizes[:-1]) < 1.1 * about


def test_a_shard_ends_with_the_smallest_hash_of_those_it_may_end_with():
    for part in cut(IMAGES, 64)[:-1]:
        ends = IMAGES[part.start + 31 : part.start + 96]
        assert IMAGES[part.stop - 1] == min(ends, key=lambda image: number(image, Purpose.SHARD, 0))


def test_what_is_left_and_fits_into_one_shard_is_one():
    assert cut(IMAGES[:96], 64) == [slice(0, 96)]
    assert len(cut(IMAGES[:97], 64)) == 2


@pytest.mark.parametrize(("about", "alone", "few"), [(256, 0.98, 1.03), (64, 0.93, 1.1), (16, 0.8, 1.4)])
def test_an_image_less_changes_the_shard_it_was_in_and_seldom_another(about, alone, few):
    whole = set(shards(IMAGES, about))
    changed = Counter()
    for gone in np.random.default_rng(8).integers(0, len(IMAGES), 60):
        rest = shards(IMAGES[:gone] + IMAGES[gone + 1 :], about)
        changed[sum(shard not in whole for shard in rest)] += 1
    assert changed[0] + changed[1] >= alone * changed.total()
    assert sum(number * times for number, times in changed.items()) <= few * changed.total()
    assert max(changed) < 10


def test_the_images_of_another_archive_before_them_are_soon_forgotten():
    found, other = (shards([*before, *IMAGES[3_000:]], 64) for before in ([], IMAGES[100:777]))
    assert len(set(found) - set(other)) < 10
