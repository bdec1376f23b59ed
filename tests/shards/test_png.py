"""The fast way to the pixels of grey PNGs, against OpenCV, and every kind of damage."""

import itertools
import re
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from glassbox.shards import compiled
from glassbox.shards.decode import decode
from glassbox.shards.png import UnreadableImageError, grey, parse

#: Height and width: single pixels, rows and columns, odd numbers of rows, sides around powers of two.
SHAPES = [
    *((1, 1), (1, 2), (2, 1), (2, 2), (1, 37), (37, 1), (3, 2), (7, 5), (8, 5), (16, 17), (33, 64), (64, 31)),
    *((3, 1024), (1024, 3), (1025, 7)),
]
#: The filters of rows in turn.
FILTERS = {
    "each alone": [(kind,) for kind in range(5)],
    "each before each": list(itertools.permutations(range(5), 2)),
    "in long random mixes": [tuple(np.random.default_rng(seed).integers(0, 5, 101).tolist()) for seed in range(4)],
}
#: Colour type, and bits a channel.
KINDS = [
    *((0, depth) for depth in (1, 2, 4, 8, 16)),
    *((3, depth) for depth in (1, 2, 4, 8)),
    *itertools.product((2, 4, 6), (8, 16)),
]


def _opencv(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def _fast(content):
    pixels = grey(parse(content))
    assert pixels is not None, compiled.load().reason
    return pixels


def _refusal(content):
    with pytest.raises(UnreadableImageError) as refusal:
        decode(content, 16)
    return str(refusal.value)


# --- pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_the_pixels_are_those_that_were_filtered_and_those_of_opencv(filters, png, noise):
    for kinds, (number, shape) in itertools.product(filters, enumerate(SHAPES)):
        pixels = noise(*shape, number=number)
        content = png(pixels, 0, filters=kinds)
        found = _fast(content)
        assert found.dtype == np.uint8
        assert np.array_equal(found, pixels), (kinds, shape)
        assert np.array_equal(found, _opencv(content)), (kinds, shape)


@pytest.mark.parametrize("extreme", ["black and white", "smooth", "steps of one"])
@pytest.mark.parametrize("filters", [(3,), (4,), (3, 4), (4, 3), (1, 4, 2, 3, 0)], ids=str)
def test_the_pixels_are_right_where_sums_wrap_around_and_neighbours_tie(filters, extreme, png, noise, film):
    pixels = {
        "black and white": 255 * (noise(65, 63) & 1),
        "smooth": film(0, 65, 63),
        "steps of one": 128 + (noise(65, 63) & 1),
    }[extreme]
    assert np.array_equal(_fast(png(pixels, 0, filters=filters)), pixels)


def test_a_film_of_full_size_is_decoded_as_opencv_does(png, noise):
    pixels = noise(1024, 1024)
    content = png(pixels, 0, filters=FILTERS["in long random mixes"][0])
    assert np.array_equal(_fast(content), pixels)
    assert np.array_equal(_opencv(content), pixels)


@pytest.mark.parametrize(
    "cuts",
    [(0, 0, 9, 9), tuple(range(1, 900)), (1, 3)],
    ids=["empty ones", "every byte", "in the zlib header"],
)
def test_image_data_may_be_parted_anywhere(cuts, png, noise):
    pixels = noise(30, 31)
    content = png(pixels, 0, filters=(4, 3), cuts=cuts)
    assert content.count(b"IDAT") == len(cuts) + 1
    assert np.array_equal(_fast(content), pixels)
    assert np.array_equal(_fast(content), _opencv(content))


#: What cameras and programs put beside the pixels; a decoder may leave all of it out.
EXTRAS = {
    "iCCP that is broken": b"profile\0\0no stream",
    "gAMA": struct.pack(">I", 200_000),
    "tRNS": b"\0\x80",
    "zTXt that inflates to 20 MB": b"Comment\0\0" + zlib.compress(bytes(20_000_000)),
    "eXIf that turns it": b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    "acTL of an animation": struct.pack(">II", 1, 0),
    "prVt of nobody knows whom": bytes(9),
}


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_lies_beside_the_pixels_changes_none_of_them_and_gives_no_warning(extra, png, noise, chunks, capfd):
    kind = extra[:4].encode()
    first, *rest = chunks(png(noise(32, 48), 0, cuts=(40,)))
    for place in range(len(rest)):
        content = chunks([first, *rest[:place], (kind, EXTRAS[extra]), *rest[place:]])
        decoded = decode(content, 32)
        assert (decoded.width, decoded.height, decoded.channels) == (48, 32, 1)
        assert np.array_equal(_fast(content), noise(32, 48))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("interlaced", [False, True], ids=["in order", "interlaced"])
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_every_kind_of_png_is_shrunk_to_what_opencv_makes_of_it(colour, depth, interlaced, png, noise):
    channels = {0: (), 2: (3,), 3: (), 4: (2,), 6: (4,)}[colour]
    values = noise(45, 37, *channels, dtype=np.uint16) >> (16 - depth)
    palette = [(b"PLTE", noise(3 << depth).tobytes())] if colour == 3 else []
    content = png(values, colour, depth=depth, filters=(4, 3, 2, 1, 0), before=palette, interlaced=interlaced)
    assert parse(content).is_plain_grey == ((colour, depth, interlaced) == (0, 8, False))
    stored = _opencv(content)
    assert stored.shape[:2] == (45, 37)
    if colour == 0:  # the PNG made by hand is what it is meant to be
        assert np.array_equal(stored, values if depth == 16 else values * (255 // ((1 << depth) - 1)))
    eight = stored if stored.dtype == np.uint8 else ((stored.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if eight.ndim == 3:
        eight = cv2.cvtColor(eight, cv2.COLOR_BGRA2GRAY if eight.shape[2] == 4 else cv2.COLOR_BGR2GRAY)
    decoded = decode(content, 16)
    expected = cv2.resize(eight, (16, 16), interpolation=cv2.INTER_AREA)
    assert np.abs(decoded.pixels.astype(int) - expected).max() <= 1
    assert (decoded.width, decoded.height) == (37, 45)


# --- damage ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(png, noise):
    """Of few bytes, and with a chunk of every use."""
    return png(noise(7, 5), 0, filters=(4, 3, 1), before=[(b"gAMA", bytes(4)), (b"PLTE", bytes(6))], cuts=(20,))


CUT = "cut off: the end of the image is missing"


def test_no_byte_of_a_png_can_change_unseen(small):
    whole = decode(small, 16).pixels
    for place, bit in itertools.product(range(len(small)), (0x01, 0x20, 0x80)):
        content = bytearray(small)
        content[place] ^= bit
        reason = _refusal(bytes(content))
        if place < 8:
            assert reason.startswith("neither PNG nor JPEG: begins with "), place
        else:
            assert re.match(r"damaged: chunk b'.+' has another CRC-32 than it states|cut off: ", reason), place
    assert np.array_equal(decode(small, 16).pixels, whole)


def test_a_png_that_ends_anywhere_before_its_end_is_cut_off(small, film, png):
    whole = png(film(), 0, filters=(4, 3))
    for content, step in ((small, 1), (whole, 64)):
        for kept in range(8, len(content), step):
            assert _refusal(content[:kept]) == CUT, kept
    assert decode(whole + b"what follows the end", 16).width == 64


@pytest.mark.parametrize("length", [-2, -1, 1, 2, 1 << 31, (1 << 32) - 1], ids=lambda length: f"{length:+}")
def test_a_chunk_of_another_length_than_it_states_is_damage(length, small, chunks):
    place = 8
    for kind, data in chunks(small):
        stated = (len(data) + length) % (1 << 32)
        content = small[:place] + struct.pack(">I", stated) + small[place + 4 :]
        assert re.match(r"damaged: chunk |cut off: ", _refusal(content)), kind
        place += 12 + len(data)


def _last(rows, change):
    """Rows of 65 bytes, the last one changed."""
    return rows[:-65] + change(rows[-65:])


#: What is wrong with a film of 64 x 64 pixels, and how its refusal begins.
PROMISES = {
    "many pixels": (
        {"header": {"width": 60_000, "height": 60_000}},
        "claims 60,000 x 60,000 pixels, more",
    ),
    "a long side": ({"header": {"width": 65_537, "height": 16}}, "claims 65,537 x 16 pixels, "),
    "more than the bytes can hold": ({"header": {"width": 16_384, "height": 16_384}}, "damaged: "),
    "no width": ({"header": {"width": 0}}, "damaged: its header says 0 x 64 pixels of colour type 0"),
    "no height": ({"header": {"height": 0}}, "damaged: its header says 64 x 0 pixels"),
    "a row less": ({"header": {"height": 63}}, "damaged: "),
    "a row more": ({"header": {"height": 65}}, "damaged: 4,160 bytes of image data, not 4,225"),
    "a column less": ({"header": {"width": 63}}, "damaged: "),
    "a column more": ({"header": {"width": 65}}, "damaged: "),
    **{f"colour type {kind}": ({"header": {"colour": kind}}, "damaged: ") for kind in (1, 5, 7)},
    **{f"{depth} bits": ({"header": {"depth": depth}}, "damaged: ") for depth in (0, 3, 7, 9)},
    "another compression": ({"header": {"compression": 1}}, "damaged: its header names a method"),
    "another filter method": ({"header": {"filter": 1}}, "damaged: its header names a method"),
    "another interlacing": ({"header": {"interlace": 2}}, "damaged: its header names a method"),
    "a wrong sum": ({"stream": lambda stream: stream[:-1] + bytes([stream[-1] ^ 1])}, "damaged: "),
    "no sum": ({"stream": lambda stream: stream[:-4]}, "damaged: "),
    "half of the stream": ({"stream": lambda stream: stream[: len(stream) // 2]}, "damaged: "),
    "no zlib header": ({"stream": lambda stream: stream[2:-4]}, "damaged: "),
    "zeros for a stream": ({"stream": lambda stream: bytes(len(stream))}, "damaged: "),
    "a byte less": ({"rows": lambda rows: rows[:-1]}, "damaged: 4,159 bytes of image data, not 4,160"),
    "the last row less": ({"rows": lambda rows: rows[:-65]}, "damaged: "),
    "a byte more": ({"rows": lambda rows: rows + b"\0"}, "damaged: "),
    "50 MB more": ({"rows": lambda rows: rows + bytes(50_000_000)}, "damaged: "),
    "filter 5": ({"rows": lambda rows: b"\x05" + rows[1:]}, "damaged: row 0 has a filter that PNG does not know"),
    "filter 255 at last": ({"rows": lambda rows: _last(rows, lambda row: b"\xff" + row[1:])}, "damaged: row 63 "),
}


@pytest.mark.parametrize(("change", "reason"), PROMISES.values(), ids=PROMISES)
def test_a_grey_png_that_does_not_hold_what_it_promises_is_refused_alike_without_a_compiler(
    change, reason, png, film, request
):
    content = png(film(), 0, filters=(0,), **change)
    refusal = _refusal(content)
    assert refusal.startswith(reason)
    request.getfixturevalue("without_compiler")
    assert _refusal(content) == refusal


@pytest.mark.parametrize(
    ("colour", "change"),
    [
        (2, {"stream": lambda stream: stream[:-1] + bytes([stream[-1] ^ 1])}),
        (6, {"stream": lambda stream: stream[: len(stream) // 2]}),
        (2, {"rows": lambda rows: rows[:-1]}),
        (6, {"rows": lambda rows: b"\x05" + rows[1:]}),
        (0, {"interlaced": True, "rows": lambda rows: rows[:-1]}),
        (2, {"header": {"width": 60_000, "height": 60_000}}),
        (6, {"header": {"width": 16_384, "height": 16_384}}),
        (0, {"interlaced": True, "header": {"width": 16_384, "height": 16_384}}),
    ],
)
def test_other_kinds_that_do_not_hold_what_they_promise_are_refused_too(colour, change, png, noise):
    shape = (64, 64, {0: 1, 2: 3, 6: 4}[colour])
    assert re.match(r"damaged: |claims ", _refusal(png(noise(*shape), colour, **change)))


@pytest.mark.parametrize(
    "order",
    [
        *("IDAT IEND", "IHDR IEND", "IEND", "PLTE IHDR IDAT IEND", "IDAT IHDR IEND", "IHDR IHDR IDAT IEND"),
        *("IHDR IDAT PLTE IEND", "IHDR PLTE PLTE IDAT IEND", "IHDR half PLTE rest IEND", "IHDR CgBI IDAT IEND"),
        *("IHDR \0\0\0\0 IDAT IEND", "short IDAT IEND"),
    ],
)
def test_chunks_in_another_order_than_that_of_a_png_are_damage(order, png, film, chunks):
    whole = dict(chunks(png(film(), 0)))
    data, header = whole[b"IDAT"], whole[b"IHDR"]
    parts = {"half": (b"IDAT", data[:900]), "rest": (b"IDAT", data[900:]), "short": (b"IHDR", header[:-1])}
    known = whole | {b"PLTE": bytes(6)}
    named = [parts.get(kind) or (kind.encode(), known.get(kind.encode(), b"")) for kind in order.split()]
    assert _refusal(chunks(named)).startswith("damaged: its ")


def _mutant(random, parts):
    """Chunks with one to three changes inside."""
    parts = [(kind, bytearray(data)) for kind, data in parts]
    for _ in range(random.integers(1, 4)):
        kind, data = parts[random.integers(len(parts))]
        place = random.integers(len(data) + 1)
        match random.integers(6):
            case 0 | 1 if data:
                data[place % len(data)] ^= 1 << random.integers(8)
            case 2:
                del data[place : place + random.integers(1, 9)]
            case 3:
                data[place:place] = random.bytes(random.integers(1, 9))
            case 4:
                parts.insert(random.integers(len(parts)), (kind, bytearray(data)))
            case 5 if data:
                data[place % len(data)] = random.integers(256)
    return parts


def _outcome(content):
    """Pixels or words; any other exception passes through."""
    try:
        return decode(content, 16).pixels.tobytes()
    except UnreadableImageError as refusal:
        return str(refusal)


@pytest.fixture
def outcomes(png, noise, chunks, request):
    """What comes of mutants of six kinds of PNG, most with right CRCs; with a compiler and without."""
    wholes = [
        png(noise(24, 21), 0, filters=(4, 3, 2, 1, 0), cuts=(100, 200)),
        png(noise(24, 21), 0, filters=(0,), before=[(b"tEXt", b"a\0b")]),
        png(noise(24, 21, 3), 2, filters=(4, 3)),
        png(noise(24, 21, 4, dtype=np.uint16), 6, filters=(4,)),
        png(noise(24, 21) >> 6, 3, depth=2, before=[(b"PLTE", bytes(range(12)))]),
        png(noise(24, 21), 0, interlaced=True),
    ]

    def mutate(rounds, seed):
        random, mutants = np.random.default_rng(seed), []
        for number in range(rounds):
            mutant = bytearray(chunks(_mutant(random, chunks(wholes[number % len(wholes)]))))
            if random.random() < 0.2:
                mutant[random.integers(len(mutant))] ^= 1 << random.integers(8)
            mutants.append(bytes(mutant))
        compiled_ones = [_outcome(mutant) for mutant in mutants]
        request.getfixturevalue("without_compiler")
        return compiled_ones, [_outcome(mutant) for mutant in mutants]

    return mutate


def test_mutants_are_decoded_or_refused_and_alike_without_a_compiler(outcomes):
    found, without_compiler = outcomes(300, 0)
    assert found == without_compiler
    # They reach far: many reasons are given, and some are images still.
    assert len({outcome for outcome in found if isinstance(outcome, str)}) > 20
    assert sum(isinstance(outcome, bytes) for outcome in found) > 10


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 4))
def test_many_more_mutants_are_decoded_or_refused_and_alike_without_a_compiler(seed, outcomes):
    found, without_compiler = outcomes(2_000, seed)
    assert found == without_compiler


_WEIGH = r"""
import pathlib, re, sys
from glassbox.shards.decode import UnreadableImageError, decode
def peak():  # in KiB; getrusage would count what the process that started this one took
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
bombs = sorted(pathlib.Path(sys.argv[1]).iterdir())
decode(bombs.pop(0).read_bytes(), 16)  # what the libraries take for themselves
before = peak()
for bomb in bombs:
    try:
        decode(bomb.read_bytes(), 16)
    except UnreadableImageError:
        print("refused", bomb.name)
    else:
        print("decoded", bomb.name)
print(peak() - before)
"""


def test_what_claims_or_inflates_to_much_more_than_it_is_takes_no_memory(png, film, noise, tmp_path):
    # 40 MB each, if they were believed.
    many = {"header": {"width": 6_324, "height": 6_324}}
    flood = {"rows": lambda rows: rows + bytes(40_000_000)}
    bombs = {
        "0 plain": png(film(), 0),
        "1 claim": png(film(), 0, **many),
        "2 claim of 16 bits": png(noise(64, 64, 4, dtype=np.uint16), 6, **many),
        "3 claim interlaced": png(film(), 0, interlaced=True, **many),
        "4 flood": png(film(), 0, **flood),
        "5 flood of colours": png(noise(64, 64, 3), 2, **flood),
        "6 text": png(film(), 0, before=[(b"zTXt", b"a\0\0" + zlib.compress(bytes(40_000_000)))]),
    }
    for name, content in bombs.items():
        (tmp_path / name).write_bytes(content)
    run = subprocess.run([sys.executable, "-c", _WEIGH, str(tmp_path)], capture_output=True, text=True, check=True)
    *outcomes, grown = run.stdout.splitlines()
    assert outcomes == [
        "refused 1 claim",
        "refused 2 claim of 16 bits",
        "refused 3 claim interlaced",
        "refused 4 flood",
        # The pixels are there, and what follows them is not inflated.
        "decoded 5 flood of colours",
        "decoded 6 text",
    ]
    assert int(grown) < 20_000  # KiB
