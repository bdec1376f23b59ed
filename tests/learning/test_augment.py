import numpy as np
import pytest

from glassbox.learning.augment import Affines, draw, matrices, warp
from glassbox.params import Augmentation

EVERYTHING = Augmentation(horizontal_flip=True, shift=0.15, rotation=5.0, shear=2.0, zoom=0.1)


def transform(images, **parameters):
    """Applies one transformation to all images."""
    identity = dict.fromkeys(Affines._fields, 0.0) | {"zoom_y": 1.0, "zoom_x": 1.0, "flip": False}
    values = identity | parameters
    affines = Affines(*(np.full(len(images), values[name]) for name in Affines._fields))
    return warp(images, matrices(affines, images.shape[1]))


@pytest.fixture(params=[32, 33], ids=["even", "odd"])
def images(request):
    return np.random.default_rng(1).integers(0, 256, (5, request.param, request.param), np.uint8)


def disc(size=96, radius=20):
    """A centred white disc on black; uint8 (1, size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(x**2 + y**2 < radius**2, 255, 0).astype(np.uint8)[None]


# --- the deterministic twin --------------------------------------------------------------------------------


def test_ranges_of_zero_leave_every_pixel_as_it_is(images):
    identity = draw(Augmentation(), len(images), (1, 2))
    np.testing.assert_array_equal(warp(images, matrices(identity, images.shape[1])), images)


def test_a_flip_exchanges_left_and_right_exactly(images):
    np.testing.assert_array_equal(transform(images, flip=True), images[:, :, ::-1])


@pytest.mark.parametrize(("down", "right"), [(3, 0), (-3, 0), (0, 5), (0, -5), (2, -7)])
def test_a_shift_moves_down_and_right_and_the_edge_fills_what_opens(images, down, right):
    size = images.shape[1]
    moved = transform(images, shift_y=down / size, shift_x=right / size)
    rows = slice(max(down, 0), size + min(down, 0))
    columns = slice(max(right, 0), size + min(right, 0))
    rolled = np.roll(images, (down, right), axis=(1, 2))
    np.testing.assert_array_equal(moved[:, rows, columns], rolled[:, rows, columns])
    nearest_y = np.clip(np.arange(size) - down, 0, size - 1)
    nearest_x = np.clip(np.arange(size) - right, 0, size - 1)
    np.testing.assert_array_equal(moved, images[:, nearest_y][:, :, nearest_x])


def test_a_rotation_is_counter_clockwise_in_degrees(images):
    np.testing.assert_array_equal(transform(images, rotation=90.0), np.rot90(images, 1, (1, 2)))
    np.testing.assert_array_equal(transform(images, rotation=-90.0), np.rot90(images, -1, (1, 2)))
    np.testing.assert_array_equal(transform(images, rotation=180.0), images[:, ::-1, ::-1])


@pytest.mark.parametrize(("zoom_y", "zoom_x"), [(1.5, 1.5), (0.8, 0.8), (1.5, 1.0), (1.0, 0.7)])
def test_a_zoom_above_one_enlarges_height_and_width_apart(zoom_y, zoom_x):
    before, after = disc()[0] / 255, transform(disc(), zoom_y=zoom_y, zoom_x=zoom_x)[0] / 255
    assert after.sum() == pytest.approx(before.sum() * zoom_y * zoom_x, rel=0.01)
    assert after.sum(axis=0).max() == pytest.approx(before.sum(axis=0).max() * zoom_y, rel=0.03)
    assert after.sum(axis=1).max() == pytest.approx(before.sum(axis=1).max() * zoom_x, rel=0.03)


def test_rotation_and_zoom_leave_the_centre_where_it_is():
    turned = transform(disc(), rotation=33.0, zoom_y=1.4, zoom_x=1.4, shear=3.0, flip=True)[0].astype(float)
    y, x = np.mgrid[:96, :96]
    centre = (turned * y).sum() / turned.sum(), (turned * x).sum() / turned.sum()
    assert centre == pytest.approx((47.5, 47.5), abs=0.05)


@pytest.mark.parametrize("degrees", [10.0, 30.0, -20.0])
def test_a_shear_leans_uprights_by_an_angle_in_degrees(degrees):
    upright = np.zeros((1, 97, 97), np.uint8)
    upright[:, :, 47:50] = 255
    leaning = transform(upright, shear=degrees)[0].astype(float)
    y = np.arange(97)
    inside = slice(20, 77)
    x = (leaning * y).sum(axis=1) / leaning.sum(axis=1)
    slope = np.polyfit(y[inside], x[inside], 1)[0]
    assert slope == pytest.approx(np.sin(np.deg2rad(degrees)), abs=0.01)


def test_a_film_is_flipped_before_it_is_moved(images):
    size = images.shape[1]
    moved = transform(images, flip=True, shift_x=4 / size)
    np.testing.assert_array_equal(moved[:, :, 4:], images[:, :, ::-1][:, :, :-4])


def test_each_image_has_its_own_transformation(images):
    affines = Affines(np.array([False, True] * 2 + [False]), *np.zeros((4, 5)), *np.ones((2, 5)))
    moved = warp(images, matrices(affines, images.shape[1]))
    np.testing.assert_array_equal(moved[::2], images[::2])
    np.testing.assert_array_equal(moved[1::2], images[1::2, :, ::-1])


# --- the draw ----------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_and_each_part_of_it_matters():
    once, again = (np.stack(draw(EVERYTHING, 50, (1, 2, 3))) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (1, 2)):
        assert (np.stack(draw(EVERYTHING, 50, other)) != once).any()


def test_draws_fill_their_ranges_and_stay_within_them():
    drawn = draw(EVERYTHING, 20_000, (7,))
    ranges = {
        "shift_y": (-0.15, 0.15),
        "shift_x": (-0.15, 0.15),
        "rotation": (-5.0, 5.0),
        "shear": (-2.0, 2.0),
        "zoom_y": (0.9, 1.1),
        "zoom_x": (0.9, 1.1),
    }
    for name, (low, high) in ranges.items():
        values = getattr(drawn, name)
        assert low <= values.min() < values.max() <= high
        assert values.max() - values.min() > 0.99 * (high - low)
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
    assert drawn.flip.mean() == pytest.approx(0.5, abs=0.02)


def test_parameters_are_drawn_apart_from_each_other():
    correlations = np.corrcoef(np.stack(draw(EVERYTHING, 20_000, (7,))).astype(float))
    assert np.abs(correlations - np.eye(7)).max() < 0.03


@pytest.mark.parametrize("range_", ["shift", "rotation", "shear", "zoom"])
def test_a_range_moves_only_what_it_is_for(range_):
    drawn = draw(Augmentation(**{range_: 0.1}), 100, (7,))
    still = {name for name, values in drawn._asdict().items() if np.ptp(values.astype(float)) == 0}
    moved = {"shift": {"shift_y", "shift_x"}, "zoom": {"zoom_y", "zoom_x"}}.get(range_, {range_})
    assert still == set(Affines._fields) - moved
