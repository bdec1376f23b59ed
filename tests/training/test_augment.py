import numpy as np
import pytest
from scipy import ndimage

from glassbox.params.experiments import Augmentation
from glassbox.training.augment import Variations, apply, brightened, draw, highlighted, matrices, warp

EVERYTHING = Augmentation(
    horizontal_flip=True,
    vertical_flip=True,
    shift=0.15,
    rotation=5.0,
    shear=2.0,
    zoom=0.1,
    brightness=0.2,
    edges=0.3,
)
#: What leaves an image as it is.
STILL = dict.fromkeys(Variations._fields, 0.0) | {"zoom_y": 1.0, "zoom_x": 1.0, "brightness": 1.0}
STILL |= {"horizontal_flip": False, "vertical_flip": False}


def transform(images, **parameters):
    """Applies one variation to all images."""
    values = STILL | parameters
    return apply(images, Variations(*(np.full(len(images), values[name]) for name in Variations._fields)))


@pytest.fixture(params=[32, 33], ids=["even", "odd"])
def images(request):
    return np.random.default_rng(1).integers(0, 256, (5, request.param, request.param), np.uint8)


def disc(size=96, radius=20):
    """A centred white disc on black; uint8 (1, size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(x**2 + y**2 < radius**2, 255, 0).astype(np.uint8)[None]


# --- the deterministic twin --------------------------------------------------------------------------------


def test_an_augmentation_of_nothing_leaves_every_pixel_as_it_is(images):
    before = images.copy()
    varied = apply(images, draw(Augmentation(), len(images), (1, 2)))
    np.testing.assert_array_equal(varied, before)
    assert varied.dtype == np.uint8


def test_varying_images_leaves_those_that_were_given_as_they_are(images):
    before = images.copy()
    assert (apply(images, draw(EVERYTHING, len(images), (1, 2))) != before).any()
    np.testing.assert_array_equal(images, before)


def test_a_horizontal_flip_exchanges_left_and_right_exactly(images):
    np.testing.assert_array_equal(transform(images, horizontal_flip=True), images[:, :, ::-1])


def test_a_vertical_flip_exchanges_top_and_bottom_exactly(images):
    np.testing.assert_array_equal(transform(images, vertical_flip=True), images[:, ::-1])


def test_both_flips_turn_an_image_by_half(images):
    np.testing.assert_array_equal(
        transform(images, horizontal_flip=True, vertical_flip=True), np.rot90(images, 2, (1, 2))
    )


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
    turned = transform(disc(), rotation=33.0, zoom_y=1.4, zoom_x=1.4, shear=3.0, horizontal_flip=True)[0].astype(
        float
    )
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
    moved = transform(images, horizontal_flip=True, shift_x=4 / size)
    np.testing.assert_array_equal(moved[:, :, 4:], images[:, :, ::-1][:, :, :-4])
    moved = transform(images, vertical_flip=True, shift_y=4 / size)
    np.testing.assert_array_equal(moved[:, 4:], images[:, ::-1][:, :-4])


def test_each_image_has_its_own_variation(images):
    own = {"horizontal_flip": np.array([0, 1, 0, 0, 0], bool), "brightness": np.array([1.0, 1.0, 0.5, 1.0, 1.0])}
    own["edges"] = np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    varied = apply(images, Variations(**{name: np.full(5, value) for name, value in STILL.items()} | own))
    np.testing.assert_array_equal(varied[[0, 4]], images[[0, 4]])
    np.testing.assert_array_equal(varied[1], images[1, :, ::-1])
    np.testing.assert_array_equal(varied[2], brightened(images[2], 0.5))
    np.testing.assert_array_equal(varied[3], highlighted(images[3], 1.0))


def test_an_image_is_moved_then_brightened_then_its_edges_are_highlighted(images):
    drawn = draw(EVERYTHING, len(images), (4,))
    moved = warp(images, matrices(drawn, images.shape[1]))
    expected = [
        highlighted(brightened(image, factor), share)
        for image, factor, share in zip(moved, drawn.brightness, drawn.edges, strict=True)
    ]
    np.testing.assert_array_equal(apply(images, drawn), expected)


# --- brightness and edges ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.2, [0, 1, 2, 4, 120, 254, 255, 255, 255]),
        (0.8, [0, 1, 2, 2, 80, 170, 170, 171, 204]),
        (1.0, [0, 1, 2, 3, 100, 212, 213, 214, 255]),
    ],
)
def test_brightness_is_a_factor_that_is_rounded_and_ends_at_255(factor, expected):
    levels = np.array([[0, 1, 2, 3, 100, 212, 213, 214, 255]], np.uint8)
    found = brightened(levels, factor)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [expected])


def test_no_edges_leave_an_image_as_it_is_and_all_are_sobels_magnitude_alone(images):
    np.testing.assert_array_equal(highlighted(images[0], 0.0), images[0])
    across, down = (ndimage.sobel(images[0].astype(float), axis, mode="reflect") / 4 for axis in (0, 1))
    # As scikit-image scales it, so that no edge is brighter than 255.
    expected = np.sqrt((across**2 + down**2) / 2)
    found = highlighted(images[0], 1.0).astype(float)
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_edges_of_a_film_of_one_grey_level_are_nowhere_and_a_step_has_one_where_it_is():
    np.testing.assert_array_equal(highlighted(np.full((16, 16), 200, np.uint8), 1.0), 0)
    step = np.zeros((16, 16), np.uint8)
    step[:, 8:] = 255
    bright = highlighted(step, 1.0) > 100
    assert sorted(set(np.nonzero(bright)[1])) == [7, 8]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_of_edges_is_blended_with_the_rest_of_the_image(images, share):
    image, edges = images[0].astype(float), highlighted(images[0], 1.0).astype(float)
    found = highlighted(images[0], share).astype(float)
    np.testing.assert_allclose(found, (1 - share) * image + share * edges, atol=0.5 + 0.5 * share + 1e-3)


# --- the draw ----------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_and_each_part_of_it_matters():
    once, again = (np.stack(draw(EVERYTHING, 50, (1, 2, 3))) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    for other in ((0, 2, 3), (1, 0, 3), (1, 2, 0), (1, 2)):
        assert (np.stack(draw(EVERYTHING, 50, other)) != once).any()


def test_the_same_seed_varies_images_to_the_same_bytes(images):
    once, again = (apply(images, draw(EVERYTHING, len(images), (1, 2, 3))).tobytes() for _ in range(2))
    assert once == again
    assert apply(images, draw(EVERYTHING, len(images), (1, 2, 4))).tobytes() != once


def test_some_of_the_variations_are_those_of_the_images_at_their_positions(images):
    drawn = draw(EVERYTHING, len(images), (1, 2, 3))
    np.testing.assert_array_equal(apply(images[1:3], drawn.some(slice(1, 3))), apply(images, drawn)[1:3])
    chosen = np.array([4, 0])
    np.testing.assert_array_equal(apply(images[chosen], drawn.some(chosen)), apply(images, drawn)[chosen])


#: What the published systems vary, by what their sources say; a rotation of 20 degrees is MIT's.
PUBLISHED = {
    "everything": EVERYTHING,
    "2018": Augmentation(horizontal_flip=True, shift=0.15, rotation=5.0, shear=0.01, zoom=0.1),
    "MIT, one label": Augmentation(horizontal_flip=True, rotation=20.0, brightness=0.3, edges=0.5),
    "MIT, many labels": Augmentation(vertical_flip=True, rotation=10.0),
}


@pytest.mark.parametrize("ranges", PUBLISHED.values(), ids=PUBLISHED)
def test_draws_fill_their_ranges_and_never_exceed_them(ranges):
    drawn = draw(ranges, 20_000, (7,))
    expected = {
        "shift_y": (-ranges.shift, ranges.shift),
        "shift_x": (-ranges.shift, ranges.shift),
        "rotation": (-ranges.rotation, ranges.rotation),
        "shear": (-ranges.shear, ranges.shear),
        "zoom_y": (1 - ranges.zoom, 1 + ranges.zoom),
        "zoom_x": (1 - ranges.zoom, 1 + ranges.zoom),
        "brightness": (1 - ranges.brightness, 1 + ranges.brightness),
        "edges": (0.0, ranges.edges),
    }
    for name, (low, high) in expected.items():
        values = getattr(drawn, name)
        assert low <= values.min() <= values.max() <= high
        assert values.max() - values.min() >= 0.99 * (high - low)
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
    assert drawn.horizontal_flip.mean() == pytest.approx(0.5 * ranges.horizontal_flip, abs=0.02)
    assert drawn.vertical_flip.mean() == pytest.approx(0.5 * ranges.vertical_flip, abs=0.02)


def test_parameters_are_drawn_apart_from_each_other():
    correlations = np.corrcoef(np.stack(draw(EVERYTHING, 20_000, (7,))).astype(float))
    assert np.abs(correlations - np.eye(10)).max() < 0.03


@pytest.mark.parametrize(
    ("range_", "moved"),
    [
        ({"horizontal_flip": True}, {"horizontal_flip"}),
        ({"vertical_flip": True}, {"vertical_flip"}),
        ({"shift": 0.1}, {"shift_y", "shift_x"}),
        ({"rotation": 0.1}, {"rotation"}),
        ({"shear": 0.1}, {"shear"}),
        ({"zoom": 0.1}, {"zoom_y", "zoom_x"}),
        ({"brightness": 0.1}, {"brightness"}),
        ({"edges": 0.1}, {"edges"}),
    ],
)
def test_a_range_moves_only_what_it_is_for_and_leaves_the_other_draws_as_they_were(range_, moved):
    drawn, everything = draw(Augmentation(**range_), 100, (7,)), draw(EVERYTHING, 100, (7,))
    still = {name for name, values in drawn._asdict().items() if np.ptp(values.astype(float)) == 0}
    assert still == set(Variations._fields) - moved
    assert {name: getattr(drawn, name)[0] for name in still} == {name: STILL[name] for name in still}
    for name in moved:
        assert abs(np.corrcoef(getattr(drawn, name), getattr(everything, name))[0, 1]) == pytest.approx(1.0)
