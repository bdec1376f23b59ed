"""Images taken out of the shards in the workspace: nothing names them, and what lay elsewhere is not made anew."""

import shutil
from pathlib import Path

import pytest

from glassbox.artifacts import shards
from glassbox.phantoms.png import encode
from glassbox.shards.strip import strip

NAMES = [f"{number:02d}.png" for number in range(8)]
GIF = b"GIF89a" + bytes(50)


@pytest.fixture
def contents(film):
    """Eight films, which fall into shards of 3, 3 and 2; one cannot be read."""
    return {name: encode(film(number, 32 + number, 64)) for number, name in enumerate(NAMES)} | {NAMES[6]: GIF}


@pytest.fixture
def built(project, contents):
    """A project whose shards are built."""
    project.prepare(contents)
    project.build(rejected_share=0.2)
    return project


def test_what_lay_in_other_shards_is_copied_and_the_result_is_a_build_from_nothing(built, contents):
    theirs = NAMES[1]
    with_them = [
        image for image, shard in built.index()[["image_id", "shard"]].to_numpy() if shard == "part-00000.h5"
    ]
    assert strip("small", [theirs]) == ["part-00000.h5"]
    built.prepare({name: film for name, film in contents.items() if name != theirs})
    built.build(rejected_share=0.2)
    # What cannot be read is tried each time.
    assert set(built.decoded) == {*with_them, NAMES[6]} - {theirs}
    increment = built.bytes()
    shutil.rmtree(built.shards)
    built.build(rejected_share=0.2)
    assert built.bytes() == increment


def test_nothing_that_is_left_names_them(built):
    stored = built.index().set_index("image_id").loc[NAMES[4]]
    left_behind = Path("work/resize/small/unfinished/part-00001.parquet")
    left_behind.parent.mkdir(parents=True)
    left_behind.write_text(NAMES[4])
    strip("small", [NAMES[4], NAMES[6]])
    assert not {NAMES[4], NAMES[6]} & {*built.index()["image_id"], *shards.read_rejected("small")}
    names = (
        NAMES[4].encode(),
        NAMES[6].encode(),
        stored["source_sha256"].encode(),
        stored["pixels_sha256"].encode(),
    )
    assert not [path for path, content in built.bytes().items() if any(name in content for name in names)]
    assert built.work() == []


def test_with_none_of_them_there_every_shard_stays_and_the_next_build_copies(built, contents):
    before = built.bytes()
    assert strip("small", ["unknown"]) == []
    after = built.bytes()
    assert {name for name in before if before[name] != after[name]} == {"index.parquet"}
    built.build(rejected_share=0.2)
    assert built.decoded == [NAMES[6]]
    assert built.bytes() == before


def test_it_goes_on_where_it_was_killed_and_may_be_repeated(built):
    (built.shards / "part-00001.h5").unlink()
    assert strip("small", [NAMES[4]]) == ["part-00001.h5"]
    assert NAMES[4] not in list(built.index()["image_id"])
    once = built.bytes()
    assert strip("small", [NAMES[4]]) == []
    assert built.bytes() == once


def test_where_there_are_no_shards_there_is_nothing_to_do(project):
    assert strip("small", ["x"]) == []
