import cv2
import numpy as np
import pytest
from skimage.transform import resize

from glassbox.phantoms.png import encode
from glassbox.shards.decode import decode
from glassbox.shards.png import UnreadableImageError


def _means(pixels, factor):
    """The mean of each block of factor x factor pixels, in the type of floats."""
    height, width = pixels.shape
    return pixels.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))


def _luma(rgb):
    """Rec. 601, from an array whose last axis is red, green, blue."""
    return rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


def _off(found, expected):
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    return np.abs(found.astype(float) - expected).max()


@pytest.fixture(scope="module")
def rgb(film):
    return np.dstack([film(number, 64, 96) for number in range(3)])


def test_a_grey_png_is_shrunk_to_the_means_of_its_blocks(film):
    pixels = film(height=128, width=128)
    decoded = decode(encode(pixels), 32)
    assert _off(decoded.pixels, _means(pixels, 4)) <= 1
    assert (decoded.width, decoded.height, decoded.channels) == (128, 128, 1)


def test_at_its_own_size_an_image_is_kept_as_it_is(film):
    assert np.array_equal(decode(encode(film()), 64).pixels, film())


@pytest.mark.parametrize("size", [48, 40, 33])
def test_any_other_factor_is_near_to_what_scikit_image_makes_of_it(size, film):
    pixels = film(height=128, width=128)
    expected = resize(pixels.astype(float), (size, size), anti_aliasing=True)
    assert np.abs(decode(encode(pixels), size).pixels - expected).mean() < 1


def test_the_factor_is_a_mean_over_areas_and_not_a_choice_of_pixels():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.abs(decode(encode(stripes), 32).pixels.astype(float) - 127.5).max() <= 0.5


def test_an_image_smaller_than_the_size_is_enlarged_linearly(film):
    expected = resize(film().astype(float), (128, 128), order=1, mode="edge")
    decoded = decode(encode(film()), 128)
    assert _off(decoded.pixels, expected) <= 1
    assert (decoded.width, decoded.height) == (64, 64)


def test_sides_of_unequal_length_are_scaled_apart(film):
    pixels = film(height=64, width=128)
    decoded = decode(encode(pixels), 32)
    expected = pixels.reshape(32, 2, 32, 4).mean(axis=(1, 3))
    assert _off(decoded.pixels, expected) <= 1
    assert (decoded.width, decoded.height) == (128, 64)


# --- kinds of images ---------------------------------------------------------------------------------------


def test_colours_turn_grey_by_their_luma(rgb, png):
    decoded = decode(png(rgb, 2), 32)
    expected = _luma(rgb).reshape(32, 2, 32, 3).mean(axis=(1, 3))
    assert _off(decoded.pixels, expected) <= 1
    assert (decoded.width, decoded.height, decoded.channels) == (96, 64, 3)


@pytest.mark.parametrize(("colour", "grey"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_red_green_and_blue_weigh_as_rec_601_says(colour, grey, png):
    decoded = decode(png(np.full((32, 32, 3), colour, np.uint8), 2), 16)
    assert (decoded.pixels == grey).all()


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_alpha_is_ignored(alpha, rgb, png):
    plain = decode(png(rgb, 2), 32)
    rgba = decode(png(np.dstack([rgb, np.full(rgb.shape[:2], alpha, np.uint8)]), 6), 32)
    assert np.array_equal(rgba.pixels, plain.pixels)
    assert rgba.channels == 4


def test_grey_with_alpha_is_grey(film, png):
    decoded = decode(png(np.dstack([film(), np.zeros_like(film())]), 4), 64)
    assert _off(decoded.pixels, film()) <= 1


def test_an_rgba_film_of_three_equal_channels_is_the_grey_film(film):
    rgba = np.dstack([film()] * 3 + [np.full_like(film(), 255)])
    assert np.array_equal(decode(encode(rgba), 32).pixels, decode(encode(film()), 32).pixels)


def test_sixteen_bits_are_scaled_to_eight(film, png):
    deep = film().astype(np.uint16) * 257 + np.random.default_rng(0).integers(-120, 120, (64, 64)).clip(0, 128)
    decoded = decode(png(np.minimum(deep, 65535).astype(np.uint16), 0), 64)
    assert _off(decoded.pixels, film()) <= 1
    white = decode(png(np.full((32, 32), 65535, np.uint16), 0), 16)
    assert (white.pixels == 255).all()


def test_sixteen_bits_of_colour_are_scaled_to_eight(rgb, png):
    assert _off(decode(png(rgb.astype(np.uint16) * 257, 2), 32).pixels, decode(png(rgb, 2), 32).pixels) <= 1


def test_a_palette_is_looked_up(film, png):
    palette = b"".join(bytes([255 - level] * 3) for level in range(256))
    decoded = decode(png(film(), 3, before=[(b"PLTE", palette)]), 64)
    assert _off(decoded.pixels, 255.0 - film()) <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_read_within_what_its_compression_loses(channels, film):
    pixels = film(height=128, width=128)
    stored = pixels if channels == 1 else np.dstack([pixels] * 3)
    jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    decoded = decode(jpeg, 32)
    assert _off(decoded.pixels, _means(pixels, 4)) <= 1
    assert (decoded.width, decoded.height, decoded.channels) == (128, 128, channels)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_shrunk_to_what_opencv_makes_of_it(channels, progressive, noise):
    pixels = noise(45, 37) if channels == 1 else noise(45, 37, 3)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    full = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    grey = full if channels == 1 else cv2.cvtColor(full, cv2.COLOR_BGR2GRAY)
    assert _off(decode(jpeg, 16).pixels, cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)) <= 1


def test_a_jpeg_is_not_turned_by_what_its_camera_noted(film):
    pixels = film(height=64, width=128)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (128, 64)
    assert np.array_equal(decode(turned, 32).pixels, decode(jpeg, 32).pixels)


# --- what is no whole image --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jpeg(film):
    return cv2.imencode(".jpg", film())[1].tobytes()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_an_image_that_was_cut_is_unreadable(kept, film, jpeg):
    for content in (encode(film()), jpeg):
        with pytest.raises(UnreadableImageError, match=r"^cut off: the end of the image is missing$"):
            decode(content[: int(kept * len(content))], 32)


def test_a_png_that_was_cut_and_closed_again_is_unreadable(film):
    content = encode(film())
    with pytest.raises(UnreadableImageError, match=r"^cut off: the end of the image is missing$"):
        decode(content[: len(content) // 2] + content[-12:], 32)


def _claiming(jpeg, height, width):
    """A JPEG whose frame header (SOF0) claims another size."""
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[place + 4 :]


@pytest.mark.parametrize(
    ("height", "width", "reason"),
    [
        (65_000, 65_000, r"^claims 65,000 x 65,000 pixels, more than 268,435,456$"),
        (16_000, 16_000, r"^damaged: [\d,]+ bytes cannot hold 16,000 x 16,000 pixels$"),
        (2_000, 9_000, r"^damaged: [\d,]+ bytes cannot hold 9,000 x 2,000 pixels$"),
        (0, 64, r"^damaged: OpenCV cannot decode it$"),
    ],
)
def test_a_jpeg_that_claims_more_than_its_bytes_can_hold_is_unreadable(height, width, reason, jpeg):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(_claiming(jpeg, height, width), 32)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("shape", [(1024, 1024), (1024, 1024, 3), (16, 1500)])
def test_the_emptiest_jpeg_that_there_is_holds_what_it_claims(shape, progressive):
    settings = [cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    blank = cv2.imencode(".jpg", np.full(shape, 128, np.uint8), settings)[1].tobytes()
    assert (decode(blank, 16).pixels == 128).all()


def test_a_jpeg_with_fill_bytes_and_comments_before_its_frame_is_read(jpeg):
    comment = b"\xff\xff\xfe\0\x10" + b"\xff\xc0\xff\xff" + bytes(10)
    assert np.array_equal(decode(jpeg[:2] + comment + jpeg[2:], 32).pixels, decode(jpeg, 32).pixels)


def _refused(mutant):
    """Whether a mutant is refused; any other exception passes through."""
    try:
        decode(mutant, 16)
    except UnreadableImageError:
        return True
    return False


def test_mutants_of_a_jpeg_are_decoded_or_refused(film):
    random = np.random.default_rng(0)
    wholes = [
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
        for pixels in (film(0, 40, 30), np.dstack([film(number, 40, 30) for number in range(3)]))
        for progressive in (0, 1)
    ]
    refused = []
    for number in range(150):
        mutant = bytearray(wholes[number % 4])
        for _ in range(random.integers(1, 5)):
            mutant[random.integers(2, len(mutant))] = random.integers(256)
        if number % 3 == 0:
            start = random.integers(2, len(mutant))
            del mutant[start : start + random.integers(1, 40)]
        refused.append(_refused(bytes(mutant)))
    assert 25 < sum(refused) < 125


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(100), "neither PNG nor JPEG: begins with 47494638"),
        (b"BM" + bytes(100), "neither PNG nor JPEG: begins with 424d0000"),
        (b"<html>not found</html>", "neither PNG nor JPEG: begins with 3c68746d"),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(60) + b"IEND\xaeB`\x82",
            r"damaged: chunk b'\x00\x00\x00\x00' has another CRC-32 than it states",
        ),
        (b"\xff\xd8\xff\xd9", "damaged: it has no frame header"),
        (b"\xff\xd8" + bytes(60) + b"\xff\xd9", "damaged: it has no frame header"),
    ],
    ids=["empty", "gif", "bmp", "html", "hollow png", "hollow jpeg", "zeros"],
)
def test_what_is_no_image_is_unreadable_with_a_reason(content, reason):
    with pytest.raises(UnreadableImageError) as refusal:
        decode(content, 32)
    assert str(refusal.value) == reason
