import hashlib
import json
import re
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from glassbox import layout
from glassbox.errors import ImageError
from glassbox.shards import build, cluster
from glassbox.shards.decode import decode
from glassbox.shards.read import Images
from glassbox.sources import zip as zips
from glassbox.sources.png import encode

NAMES = [f"{number:02d}.png" for number in (7, 3, 9, 1, 8, 2, 5, 6)]
GIF = b"GIF89a" + bytes(50)


@pytest.fixture
def contents(film):
    """Eight readable films in the order of `NAMES`, which fall into shards of 3, 3 and 2."""
    return {name: encode(film(number, 32 + number, 64)) for number, name in enumerate(NAMES)}


def _pixels(shards):
    return {path.name: h5py.File(path)["images"][:] for path in sorted(shards.iterdir()) if path.suffix == ".h5"}


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- what is built -----------------------------------------------------------------------------------------


def test_images_fall_to_shards_in_archive_order(project, contents):
    project.prepare(contents)
    project.build()
    found = _pixels(project.shards)
    assert {name: pixels.shape for name, pixels in found.items()} == {
        "part-00000.h5": (3, 16, 16),
        "part-00001.h5": (3, 16, 16),
        "part-00002.h5": (2, 16, 16),
    }
    assert np.array_equal(
        np.concatenate(list(found.values())),
        np.stack([decode(content, 16).pixels for content in contents.values()]),
    )
    index = pd.read_parquet(project.shards / "index.parquet")
    assert index["image_id"].tolist() == NAMES
    assert index["shard"].tolist() == ["part-00000.h5"] * 3 + ["part-00001.h5"] * 3 + ["part-00002.h5"] * 2
    assert index["row"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_the_index_says_what_each_image_was(project, contents, film):
    rgba = encode(np.dstack([film(99)] * 4))
    project.prepare(contents | {"rgba.png": rgba})
    project.build()
    index = pq.read_table(project.shards / "index.parquet")
    assert index.schema.equals(build.INDEX)
    rows = index.to_pandas().set_index("image_id")
    assert rows["source_sha256"].to_dict() == {
        name: hashlib.sha256(content).hexdigest() for name, content in (contents | {"rgba.png": rgba}).items()
    }
    assert rows["height"].tolist() == [*range(32, 40), 64]
    assert rows["width"].tolist() == [64] * 9
    assert rows["channels"].tolist() == [1] * 8 + [4]


def test_a_folder_of_shards_holds_its_tables_and_its_origin_and_nothing_is_left_to_do(project, contents):
    project.prepare(contents)
    project.build()
    assert sorted(project.bytes()) == [
        *("index.parquet", "origin.json", "part-00000.h5", "part-00001.h5", "part-00002.h5", "rejected.parquet")
    ]
    assert project.origin() == {
        "source": "films",
        "archive_sha256": hashlib.sha256(layout.archive("films").read_bytes()).hexdigest(),
        "catalog_sha256": hashlib.sha256(layout.catalog("films").read_bytes()).hexdigest(),
        "shard_images": 3,
        "pixels": {
            "size": 16,
            "method": "area",
            "packages": {name: version(name) for name in ("opencv-python-headless", "scikit-image")},
            "code": project.origin()["pixels"]["code"],
        },
        "index_sha256": hashlib.sha256(project.bytes()["index.parquet"]).hexdigest(),
        "shards": {
            name: hashlib.sha256(content).hexdigest()
            for name, content in project.bytes().items()
            if name.endswith(".h5")
        },
    }
    assert re.fullmatch(r"[0-9a-f]{64}", project.origin()["pixels"]["code"])
    rejected = pq.read_table(project.shards / "rejected.parquet")
    assert rejected.schema.equals(build.REJECTED)
    assert len(rejected) == 0
    assert project.work() == []


def test_a_shard_can_be_mapped_from_one_place_in_its_file(project, contents):
    project.prepare(contents)
    project.build()
    with h5py.File(project.shards / "part-00000.h5") as shard:
        assert list(shard) == ["images"]
        assert shard["images"].chunks is None
        assert shard["images"].dtype == np.uint8
        assert shard["images"].id.get_offset() is not None
    images = Images(project.shards)
    wanted = [NAMES[4], NAMES[0], NAMES[7]]
    assert np.array_equal(
        images.gather(images.positions(wanted)), np.stack([decode(contents[name], 16).pixels for name in wanted])
    )


def test_only_what_the_catalog_lists_is_built(project, contents):
    project.prepare(contents)
    rows = pd.read_parquet(layout.catalog("films"))
    rows[rows["image_id"].isin(NAMES[2:5])].to_parquet(layout.catalog("films"))
    project.build()
    assert pd.read_parquet(project.shards / "index.parquet")["image_id"].tolist() == NAMES[2:5]


def test_a_build_replaces_the_whole_of_the_one_before(project, contents):
    project.prepare(contents)
    project.build()
    project.build(size=32, shard_images=8)
    assert [name for name in project.bytes() if name.endswith(".h5")] == ["part-00000.h5"]
    assert _pixels(project.shards)["part-00000.h5"].shape == (8, 32, 32)


def test_neither_the_number_of_workers_nor_the_order_in_which_they_end_shows(project, contents, monkeypatch):
    project.prepare(contents | {"bad.png": GIF})
    project.build(rejected_share=0.2, shard_images=1)
    alone = project.bytes()
    read, ended = zips.read, []

    def slow_at_first(descriptor, member):
        time.sleep(0.3 if member.name.endswith((NAMES[0], NAMES[1])) else 0)
        ended.append(member.name.removeprefix("images/"))
        return read(descriptor, member)

    monkeypatch.setattr(zips, "read", slow_at_first)
    with LocalCluster(
        n_workers=4,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as four:
        monkeypatch.setenv(cluster.ADDRESS, four.scheduler_address)
        project.build(rejected_share=0.2, shard_images=1)
    assert min(ended.index(NAMES[0]), ended.index(NAMES[1])) > 1
    assert project.bytes() == alone


def test_without_a_cluster_nothing_is_built(project, contents, monkeypatch):
    project.prepare(contents)
    monkeypatch.setenv(cluster.ADDRESS, "nowhere://at-all")
    with pytest.raises(cluster.ClusterError):
        project.build()
    assert not project.shards.exists()
    assert project.work() == []


# --- unreadable images -------------------------------------------------------------------------------------


@pytest.fixture
def damaged(contents):
    """Three of the eight films cannot be read: one of each shard."""
    return contents | {NAMES[1]: GIF, NAMES[3]: contents[NAMES[3]][:-20], NAMES[7]: b""}


def test_unreadable_images_within_the_share_are_listed_with_a_reason_and_leave_no_gap(project, damaged):
    project.prepare(damaged)
    project.build(rejected_share=0.375)
    assert pd.read_parquet(project.shards / "rejected.parquet").to_numpy().tolist() == [
        [NAMES[1], f"images/{NAMES[1]}", "neither PNG nor JPEG: begins with 47494638"],
        [NAMES[3], f"images/{NAMES[3]}", "cut off: the end of the image is missing"],
        [NAMES[7], f"images/{NAMES[7]}", "empty"],
    ]
    readable = [name for name in NAMES if name not in (NAMES[1], NAMES[3], NAMES[7])]
    index = pd.read_parquet(project.shards / "index.parquet")
    assert index["image_id"].tolist() == readable
    assert index["row"].tolist() == [0, 1, 0, 1, 0]
    assert np.array_equal(
        np.concatenate(list(_pixels(project.shards).values())),
        np.stack([decode(damaged[name], 16).pixels for name in readable]),
    )


def test_a_member_that_is_damaged_inside_the_archive_is_rejected_and_the_others_are_read(project, contents):
    project.prepare(contents)
    archive = layout.archive("films")
    data = bytearray(archive.read_bytes())
    data[data.index(contents[NAMES[2]]) + 100] ^= 0xFF
    archive.write_bytes(data)
    project.build(rejected_share=0.2)
    assert pd.read_parquet(project.shards / "rejected.parquet").to_numpy().tolist() == [
        [NAMES[2], f"images/{NAMES[2]}", f"member 'images/{NAMES[2]}' has another CRC-32 than its entry"]
    ]
    assert len(pd.read_parquet(project.shards / "index.parquet")) == 7


def test_a_shard_of_unreadable_images_is_empty_and_does_not_disturb_the_others(project, contents):
    project.prepare(contents | dict.fromkeys(NAMES[3:6], GIF))
    project.build(rejected_share=0.5)
    assert _pixels(project.shards)["part-00001.h5"].shape == (0, 16, 16)
    images = Images(project.shards)
    wanted = [NAMES[6], NAMES[0]]
    assert np.array_equal(
        images.gather(images.positions(wanted)), np.stack([decode(contents[name], 16).pixels for name in wanted])
    )


def test_too_many_unreadable_images_are_refused_without_shards_but_the_work_is_kept(project, damaged):
    project.prepare(damaged)
    with pytest.raises(ImageError) as refusal:
        project.build(rejected_share=0.25)
    assert refusal.value.found == (
        "datasets.small: 3 of 8 images are unreadable: "
        f"images/{NAMES[1]}: neither PNG nor JPEG: begins with 47494638; "
        f"images/{NAMES[3]}: cut off: the end of the image is missing; images/{NAMES[7]}: empty"
    )
    assert refusal.value.expected == "at most rejected_share: 0.25 of them, and at least one that can be read"
    assert refusal.value.action.endswith("or set datasets.small.rejected_share to at least 0.375")
    assert not (layout.DATA / "shards").exists()
    assert [path.name for path in project.work()] == [
        f"part-0000{number}.{kind}" for number in range(3) for kind in ("h5", "index.parquet", "rejected.parquet")
    ]


def test_a_dataset_without_one_readable_image_is_refused_whatever_share_is_allowed(project, contents):
    project.prepare(dict.fromkeys(contents, GIF))
    with pytest.raises(ImageError, match="8 of 8 images are unreadable"):
        project.build(rejected_share=1.0)
    assert not (layout.DATA / "shards").exists()


def test_a_refusal_leaves_the_shards_of_before(project, contents, damaged):
    project.prepare(contents)
    project.build()
    before = project.bytes()
    project.prepare(damaged)
    with pytest.raises(ImageError):
        project.build()
    assert project.bytes() == before


@pytest.mark.parametrize(("bad", "of"), [(1, 3), (2, 7), (1, 6)])
def test_the_share_that_a_refusal_names_is_enough(bad, of, project, contents):
    names = NAMES[:of]
    project.prepare({name: GIF if name in names[:bad] else contents[name] for name in names})
    with pytest.raises(ImageError) as refusal:
        project.build()
    project.build(rejected_share=float(refusal.value.action.rsplit(" ", 1)[1]))
    assert len(pd.read_parquet(project.shards / "rejected.parquet")) == bad


def test_exactly_the_share_is_allowed_whatever_the_rounding_of_floats(project, contents):
    good = contents[NAMES[0]]
    project.prepare({f"{number}.png": GIF if number < 29 else good for number in range(100)})
    project.build(rejected_share=0.29, shard_images=100)
    assert len(pd.read_parquet(project.shards / "rejected.parquet")) == 29


def test_every_image_may_be_unreadable_only_if_that_is_said(project):
    project.prepare(dict.fromkeys(NAMES, GIF))
    with pytest.raises(ImageError, match=r"8 of 8 images are unreadable: .* \.\.\."):
        project.build(rejected_share=0.99)
    assert not project.shards.exists()


# --- a build that was interrupted --------------------------------------------------------------------------


@pytest.fixture
def interrupted(project, damaged):
    """A build whose parts are finished and lie in `work/`: it was refused at the very end."""
    project.prepare(damaged)
    with pytest.raises(ImageError):
        project.build()
    return project


def _state(paths):
    """What changes when a file is written anew."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if path.suffix == ".h5"}


@pytest.mark.parametrize("lost", ["part-00001.h5", "part-00001.rejected.parquet"])
def test_a_build_goes_on_where_it_was_killed_and_makes_no_finished_shard_again(
    lost, interrupted, damaged, tmp_path
):
    before = _state(interrupted.work())
    next(path for path in interrupted.work() if path.name == lost).unlink()
    interrupted.build(rejected_share=0.5)
    after = _state(interrupted.shards.iterdir())
    assert {name for name in before if after[name] == before[name]} == {"part-00000.h5", "part-00002.h5"}
    assert interrupted.work() == []

    resumed = interrupted.bytes()
    interrupted.build(rejected_share=0.5)
    assert interrupted.bytes() == resumed


def test_finished_shards_need_no_cluster(interrupted, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, "nowhere://at-all")
    interrupted.build(rejected_share=0.5)
    assert len(_pixels(interrupted.shards)) == 3


@pytest.mark.parametrize("dataset", [{"size": 32}, {"shard_images": 4}])
def test_finished_shards_of_other_settings_are_not_taken(dataset, interrupted):
    before = _state(interrupted.work())
    interrupted.build(rejected_share=0.5, **dataset)
    assert not set(_state(interrupted.shards.iterdir()).values()) & set(before.values())
    assert next(iter(_pixels(interrupted.shards).values())).shape[1] == dataset.get("size", 16)


def test_finished_shards_of_another_archive_are_not_taken(interrupted, contents):
    interrupted.prepare(contents)
    interrupted.build()
    assert len(pd.read_parquet(interrupted.shards / "index.parquet")) == 8
    assert (
        json.loads(Path("metrics/sources/films.json").read_text())["sha256"]
        == (interrupted.origin()["archive_sha256"])
    )


def test_shards_that_were_finished_before_the_last_step_failed_are_placed_without_reading_an_image(
    project, contents, monkeypatch
):
    project.prepare(contents)
    project.build()
    whole = project.bytes()
    project.prepare(contents | {"new.png": contents[NAMES[0]]})
    placed = []

    def place(shard, folder):
        if placed:
            raise KeyboardInterrupt
        placed.append(shard)

    with monkeypatch.context() as patch:
        patch.setattr(build, "_place", place)
        with pytest.raises(KeyboardInterrupt):
            project.build()
    # What was there is whole, and nothing half-made lies beside it.
    assert project.bytes() == whole
    assert [path.name for path in project.shards.parent.iterdir()] == ["small"]

    monkeypatch.setenv(cluster.ADDRESS, "nowhere://at-all")
    project.build()
    assert project.read == []
    assert pd.read_parquet(project.shards / "index.parquet")["image_id"].tolist() == [*NAMES, "new.png"]
    assert project.work() == []


def test_a_build_that_is_killed_once_its_folder_is_in_place_ends_in_the_same_bytes(project, contents, monkeypatch):
    project.prepare(contents)
    with monkeypatch.context() as patch:
        patch.setattr(build.shutil, "rmtree", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            project.build()
    whole = project.bytes()
    monkeypatch.setenv(cluster.ADDRESS, "nowhere://at-all")
    project.build()
    assert project.bytes() == whole
    assert project.work() == []


def _interrupt(_):
    raise KeyboardInterrupt


def test_what_other_parameters_left_is_removed_when_a_build_ends_well_and_not_before(project, contents, damaged):
    elsewhere = layout.WORK / "resize/other/left.h5"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.touch()
    project.prepare(damaged)
    for size in (16, 32):
        with pytest.raises(ImageError):
            project.build(size=size)
    assert len({path.parent for path in project.work()}) == 3
    project.prepare(contents)
    project.build(size=48)
    assert project.work() == [elsewhere]


_SLOWLY = """
import time
from glassbox.sources import zip as zips
read = zips.read
def slow(*arguments):
    time.sleep(0.1)
    return read(*arguments)
zips.read = slow
"""


def _killed(project, mark):
    """Starts a build in a process of its own and kills it as soon as a file like `mark` is in `work/`."""
    with project.start(first=_SLOWLY, rejected_share=0.5) as process:
        while not any(Path("work").rglob(mark)):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.kill()


@pytest.mark.parametrize(
    ("mark", "finished"),
    [
        ("part-00001.rejected.parquet", 6),
        pytest.param(".part-00000.*.h5", 0, marks=pytest.mark.long),
        pytest.param("part-00000.index.parquet", 0, marks=pytest.mark.long),
        pytest.param(".part-00001.*.h5", 3, marks=pytest.mark.long),
        pytest.param(".part-00002.*.h5", 6, marks=pytest.mark.long),
    ],
)
def test_a_process_that_was_killed_is_followed_by_one_that_reads_only_what_was_not_finished(
    mark, finished, project, damaged
):
    project.prepare(damaged)
    project.build(rejected_share=0.5)
    whole = project.bytes()
    shutil.rmtree(project.shards)
    _killed(project, mark)
    assert not project.shards.exists()
    project.build(rejected_share=0.5)
    # The kill falls a moment after the mark: it may find one more file written, but no more than that shard's.
    assert project.read in (NAMES[finished:], NAMES[finished + 3 :])
    assert project.bytes() == whole
    assert project.work() == []
