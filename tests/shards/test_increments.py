"""Increments: what did not change is copied from the build before; the bytes are those of a build from nothing."""

import hashlib
import shutil
import zlib
from pathlib import Path

import h5py
import pyarrow.parquet as pq
import pytest
import yaml

from glassbox.artifacts import archive, catalog, code
from glassbox.artifacts.code import Code
from glassbox.phantoms.png import encode
from glassbox.shards import build
from glassbox.shards.decode import decode

NAMES = [f"{number:02d}.png" for number in range(8)]
GIF = b"GIF89a" + bytes(50)


@pytest.fixture
def contents(film):
    """Eight films, which fall into shards of 3, 3 and 2."""
    return {name: encode(film(number, 32 + number, 64)) for number, name in enumerate(NAMES)}


@pytest.fixture
def new(film):
    return {f"new-{number}.png": encode(film(100 + number)) for number in range(2)}


@pytest.fixture
def built(project, contents):
    """A project whose shards are built."""
    project.prepare(contents)
    project.build()
    assert project.decoded == NAMES
    return project


@pytest.fixture
def from_nothing(built):
    """`from_nothing(**dataset)`: the files of a build without an earlier one."""

    def run(**dataset):
        shutil.rmtree(built.shards)
        built.build(**dataset)
        return built.bytes()

    return run


def _inserted(contents, new, place):
    items = list(contents.items())
    return dict([*items[:place], *new.items(), *items[place:]])


#: What became of the films, and which of them must be decoded.
CHANGES = {
    "new ones at the end": (lambda old, new: old | new, ["new-0.png", "new-1.png"]),
    "new ones in the middle": (lambda old, new: _inserted(old, new, 4), ["new-0.png", "new-1.png"]),
    "one is another": (lambda old, new: old | {NAMES[4]: new["new-0.png"]}, [NAMES[4]]),
    "one is removed": (lambda old, _: {name: old[name] for name in NAMES if name != NAMES[1]}, []),
    "a whole shard is removed": (lambda old, _: {name: old[name] for name in NAMES[3:]}, []),
    "their order is another": (lambda old, _: {name: old[name] for name in reversed(NAMES)}, []),
    "two have changed places": (lambda old, _: old | {NAMES[0]: old[NAMES[7]], NAMES[7]: old[NAMES[0]]}, []),
    "one has another name": (
        lambda old, _: {"other.png" if name == NAMES[2] else name: film for name, film in old.items()},
        [],
    ),
    "one is damaged now": (lambda old, _: old | {NAMES[5]: GIF}, [NAMES[5]]),
    "all of this": (
        lambda old, new: {"new-1.png": old["03.png"]} | {"07.png": old["07.png"], "02.png": new["new-0.png"]},
        ["02.png"],
    ),
}


@pytest.fixture(params=CHANGES)
def changed(request, built, contents, new):
    """A project whose archive changed since its shards were built: all its images, and those to decode."""
    become, decoded = CHANGES[request.param]
    now = become(contents, new)
    built.prepare(now)
    return list(now), decoded


def test_only_what_is_new_or_another_is_decoded_and_the_bytes_are_those_of_a_build_from_nothing(
    changed, built, from_nothing, capfd
):
    now, decoded = changed
    capfd.readouterr()
    built.build(rejected_share=0.2)
    assert built.decoded == decoded
    said = f"small: {len(now) - len(decoded)} of {len(now)} images did not change and were copied\n"
    assert said in capfd.readouterr().err
    increment = built.bytes()
    assert from_nothing(rejected_share=0.2) == increment
    assert built.decoded == now
    assert "copied" not in capfd.readouterr().err


def _with_crc(content, crc):
    """A file of four bytes more whose CRC-32 is the one that is asked for."""
    table = [zlib.crc32(bytes([byte ^ 0xFF])) ^ 0xFF00_0000 for byte in range(256)]
    leading = {entry >> 24: byte for byte, entry in enumerate(table)}
    register = crc ^ 0xFFFF_FFFF
    for _ in range(4):
        byte = leading[register >> 24]
        register = (register ^ table[byte]) << 8 & 0xFFFF_FFFF | byte
    return content + (register ^ zlib.crc32(content) ^ 0xFFFF_FFFF).to_bytes(4, "little")


def test_an_image_is_known_by_its_sha256_and_not_by_its_size_and_crc_which_can_be_kept(project, png, noise):
    first, second = (png(noise(32, 32, number=number), 0) + b"1234" for number in range(2))
    forged = _with_crc(second[:-4], zlib.crc32(first))
    assert first != forged
    assert (len(first), zlib.crc32(first)) == (len(forged), zlib.crc32(forged))
    for content in (first, forged):
        project.prepare({"a.png": content, "b.png": first})
        project.build()
    assert project.decoded == ["a.png"]
    rows = project.index()
    assert rows["source_sha256"].tolist() == [hashlib.sha256(content).hexdigest() for content in (forged, first)]
    pixels = decode(second, 16).pixels
    assert rows["pixels_sha256"][0] == hashlib.sha256(pixels.tobytes()).hexdigest()
    with h5py.File(project.shards / "part-00000.h5") as shard:
        assert (shard["images"][0] == pixels).all()


def test_an_increment_upon_an_increment_is_a_build_from_nothing_too(built, contents, new, from_nothing):
    first, second = new.items()
    for now in (dict([first, *contents.items()]), dict([second, first, *list(contents.items())[2:]])):
        built.prepare(now)
        built.build()
        assert len(built.decoded) == 1
    increment = built.bytes()
    assert from_nothing() == increment


def test_shards_of_other_length_are_copied_together(built, from_nothing):
    built.build(shard_images=5)
    assert built.decoded == []
    increment = built.bytes()
    assert from_nothing(shard_images=5) == increment


def test_what_the_catalog_says_of_the_images_decodes_none(built, from_nothing):
    rows, words = catalog.read("films")
    catalog.write("films", rows.assign(age=51.0), words)
    built.build()
    assert built.decoded == []
    increment = built.bytes()
    assert from_nothing() == increment


def test_the_same_inputs_again_are_decoded_again(built):
    before = built.bytes()
    built.build()
    assert built.decoded == NAMES
    assert built.bytes() == before


def _locked(before, now):
    """dvc.lock while the stage runs, which last read the zip of the one MD5; that of the other is there now."""
    zipped = archive.path("films").as_posix()
    stages = {
        "download@films": {"outs": [{"path": zipped, "md5": now}]},
        "resize@small": {
            "deps": [{"path": "data/code/resize.json", "md5": "c" * 32}, {"path": zipped, "md5": before}]
        },
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def test_the_same_images_in_another_zip_are_copied(built):
    before = built.bytes()
    _locked("a" * 32, "b" * 32)
    built.build()
    assert built.decoded == []
    assert built.bytes() == before


@pytest.mark.parametrize("lock", ["", "stages: {}", "stages: [", None])
def test_where_it_cannot_be_told_from_a_build_on_purpose_everything_is_decoded(lock, built):
    if lock is None:
        _locked("a" * 32, "a" * 32)
    else:
        Path("dvc.lock").write_text(lock)
    built.build()
    assert built.decoded == NAMES


@pytest.mark.parametrize("dataset", [{"size": 24}, {"method": "article"}], ids=str)
def test_pixels_of_another_kind_are_not_taken(dataset, built, contents, new, from_nothing):
    built.prepare(contents | new)
    built.build(**dataset)
    assert built.decoded == [*contents, *new]
    increment = built.bytes()
    assert from_nothing(**dataset) == increment


def test_pixels_of_other_code_are_not_taken_though_nothing_else_changed(built):
    code.write("pixels", Code({}, {"opencv-python-headless": "5.0"}))
    built.build()
    assert built.decoded == NAMES


def _flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)


def test_an_earlier_image_in_which_a_bit_was_flipped_is_decoded_again_and_those_around_it_are_not(
    built, contents, new, from_nothing
):
    _flip(built.shards / "part-00001.h5", -300)
    built.prepare(new | contents)
    built.build()
    assert built.decoded == [*new, NAMES[4]]
    increment = built.bytes()
    assert from_nothing() == increment


def _header(path):
    _flip(path, 8)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _other(path):
    path.write_bytes(path.with_name("part-00002.h5").read_bytes())


@pytest.mark.parametrize("damage", [_header, _cut, _other, Path.unlink])
def test_the_images_of_an_earlier_shard_that_is_damaged_or_gone_are_decoded_again(
    damage, built, contents, new, from_nothing
):
    damage(built.shards / "part-00001.h5")
    built.prepare(contents | new)
    built.build()
    assert built.decoded == [*NAMES[3:6], *new]
    increment = built.bytes()
    assert from_nothing() == increment


def _without_its_digest(path):
    pq.write_table(pq.read_table(path), path)


@pytest.mark.parametrize("damage", [_header, _cut, _without_its_digest])
def test_an_earlier_index_that_is_damaged_or_of_an_older_program_is_not_believed(
    damage, built, contents, new, from_nothing
):
    damage(built.shards / "index.parquet")
    built.prepare(contents | new)
    built.build()
    assert built.decoded == [*contents, *new]
    increment = built.bytes()
    assert from_nothing() == increment


def test_what_was_rejected_is_tried_again(project, contents, new):
    project.prepare(contents | {NAMES[1]: GIF, NAMES[6]: b""})
    project.build(rejected_share=0.5)
    project.prepare(contents | {NAMES[1]: GIF} | new)
    project.build(rejected_share=0.5)
    assert project.decoded == [NAMES[1], NAMES[6], *new]
    assert [image for image, *_ in project.rejected()] == [NAMES[1]]


def test_an_increment_that_was_killed_goes_on_without_the_earlier_build(
    built, contents, new, from_nothing, monkeypatch
):
    built.prepare(new | contents)
    with monkeypatch.context() as patch:
        # Killed after the earlier build was removed, before the new one has its name.
        patch.setattr(build, "_place", lambda *_: shutil.rmtree(built.shards) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            built.build()
    assert not built.shards.exists()
    built.build()
    assert built.decoded == []
    increment = built.bytes()
    assert from_nothing() == increment
