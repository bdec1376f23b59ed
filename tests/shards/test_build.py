import hashlib
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from distributed import LocalCluster

from glassbox import cluster
from glassbox.archives import zip as zips
from glassbox.artifacts import archive, catalog, code, members, shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import sha256_file
from glassbox.paths import DATA, WORK
from glassbox.phantoms.png import encode
from glassbox.shards import build
from glassbox.shards.build import ImageError
from glassbox.shards.decode import decode

NAMES = [f"{number:02d}.png" for number in (7, 3, 9, 1, 8, 2, 5, 6)]
GIF = b"GIF89a" + bytes(50)


@pytest.fixture
def contents(film):
    """Eight readable films in the order of `NAMES`, which fall into shards of 3, 3 and 2."""
    return {name: encode(film(number, 32 + number, 64)) for number, name in enumerate(NAMES)}


def _pixels(folder):
    return {path.name: h5py.File(path)["images"][:] for path in sorted(folder.glob("*.h5"))}


def _scaled(contents, names):
    return np.stack([decode(contents[name], 16).pixels for name in names])


# --- what is built -----------------------------------------------------------------------------------------


def test_images_fall_to_shards_in_archive_order_and_the_index_says_which_is_where(project, contents):
    project.prepare(contents)
    project.build()
    found = _pixels(project.shards)
    assert {name: pixels.shape for name, pixels in found.items()} == {
        "part-00000.h5": (3, 16, 16),
        "part-00001.h5": (3, 16, 16),
        "part-00002.h5": (2, 16, 16),
    }
    assert np.array_equal(np.concatenate(list(found.values())), _scaled(contents, NAMES))
    index = project.index()
    assert index["image_id"].tolist() == NAMES
    assert index["shard"].tolist() == ["part-00000.h5"] * 3 + ["part-00001.h5"] * 3 + ["part-00002.h5"] * 2
    assert index["row"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_the_index_says_what_each_image_was_and_which_pixels_were_made_of_it(project, contents, film):
    every = contents | {"rgba.png": encode(np.dstack([film(99)] * 4))}
    project.prepare(every)
    project.build()
    rows = project.index().set_index("image_id")
    assert rows["source_sha256"].to_dict() == {
        name: hashlib.sha256(content).hexdigest() for name, content in every.items()
    }
    assert rows["pixels_sha256"].to_dict() == {
        name: hashlib.sha256(decode(content, 16).pixels.tobytes()).hexdigest() for name, content in every.items()
    }
    assert rows["height"].tolist() == [*range(32, 40), 64]
    assert rows["width"].tolist() == [64] * 9
    assert rows["channels"].tolist() == [1] * 8 + [4]


def test_a_folder_of_shards_holds_them_and_their_tables_and_says_what_they_are_made_of(project, contents):
    project.prepare(contents)
    project.build()
    assert sorted(project.bytes()) == [
        *("index.parquet", "part-00000.h5", "part-00001.h5", "part-00002.h5", "rejected.parquet")
    ]
    assert shards.read_index("small").facts == {
        "size": 16,
        "method": "area",
        "code": code.read("pixels").sha256,
        "shard_images": 3,
        "images_sha256": members.contents(
            [member for member in members.read("films")[0] if member.name.endswith(".png")]
        ),
        "catalog_sha256": sha256_file(catalog.path("films")),
    }
    assert shards.read_rejected("small") == []
    assert project.work() == []


def test_only_what_the_catalog_lists_is_built(project, contents):
    project.prepare(contents)
    rows, words = catalog.read("films")
    catalog.write("films", rows[rows["image_id"].isin(NAMES[2:5])], words)
    project.build()
    assert project.index()["image_id"].tolist() == NAMES[2:5]


def test_a_catalog_that_lists_what_is_not_in_the_archive_is_refused_by_name(project, contents):
    project.prepare(contents)
    rows, words = catalog.read("films")
    catalog.write(
        "films", rows.assign(member=rows["member"].replace(f"images/{NAMES[3]}", "images/no.png")), words
    )
    with pytest.raises(ArtifactError, match=r"data/catalogs/films.parquet lists 'images/no.png', which is not in"):
        project.build()
    assert not project.shards.exists()


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
        shutil.rmtree(project.shards)
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
    assert project.rejected() == [
        [NAMES[1], f"images/{NAMES[1]}", "neither PNG nor JPEG: begins with 47494638"],
        [NAMES[3], f"images/{NAMES[3]}", "cut off: the end of the image is missing"],
        [NAMES[7], f"images/{NAMES[7]}", "empty"],
    ]
    readable = [name for name in NAMES if name not in (NAMES[1], NAMES[3], NAMES[7])]
    index = project.index()
    assert index["image_id"].tolist() == readable
    assert index["row"].tolist() == [0, 1, 0, 1, 0]
    assert np.array_equal(np.concatenate(list(_pixels(project.shards).values())), _scaled(damaged, readable))


def test_a_member_that_was_damaged_inside_the_archive_is_rejected_and_the_others_are_read(project, contents):
    project.prepare(contents)
    path = archive.path("films")
    data = bytearray(path.read_bytes())
    data[data.index(contents[NAMES[2]]) + 100] ^= 0xFF
    path.write_bytes(data)
    project.build(rejected_share=0.2)
    (rejected,) = project.rejected()
    assert rejected[:2] == [NAMES[2], f"images/{NAMES[2]}"]
    assert "CRC-32" in rejected[2]
    assert len(project.index()) == 7


def test_a_shard_of_unreadable_images_is_empty_and_does_not_disturb_the_others(project, contents):
    project.prepare(contents | dict.fromkeys(NAMES[3:6], GIF))
    project.build(rejected_share=0.5)
    assert _pixels(project.shards)["part-00001.h5"].shape == (0, 16, 16)
    images, index = shards.Images("small"), project.index().set_index("image_id")
    wanted = [NAMES[6], NAMES[0]]
    positions = images.positions(wanted, index["pixels_sha256"][wanted])
    assert np.array_equal(images.gather(positions), _scaled(contents, wanted))


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
    assert not (DATA / "shards").exists()
    assert [path.name for path in project.work()] == [
        f"part-0000{number}.{kind}" for number in range(3) for kind in ("h5", "parquet")
    ]


def test_a_dataset_without_one_readable_image_is_refused_whatever_share_is_allowed(project, contents):
    project.prepare(dict.fromkeys(contents, GIF))
    with pytest.raises(ImageError, match=r"8 of 8 images are unreadable: .* \.\.\."):
        project.build(rejected_share=1.0)
    assert not (DATA / "shards").exists()


def test_a_refusal_leaves_the_shards_of_before(project, contents, damaged):
    project.prepare(contents)
    project.build()
    before = project.bytes()
    project.prepare(damaged)
    with pytest.raises(ImageError):
        project.build()
    assert project.bytes() == before


@pytest.mark.parametrize(("bad", "of"), [(1, 3), (2, 7), (29, 100)])
def test_the_share_that_a_refusal_names_is_enough_whatever_the_rounding_of_floats(bad, of, project, contents):
    project.prepare({f"{number}.png": GIF if number < bad else contents[NAMES[0]] for number in range(of)})
    with pytest.raises(ImageError) as refusal:
        project.build(shard_images=100)
    project.build(shard_images=100, rejected_share=float(refusal.value.action.rsplit(" ", 1)[1]))
    assert len(project.rejected()) == bad


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


def _unlink(path):
    path.unlink()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("name", "lose"),
    [("part-00001.h5", _unlink), ("part-00001.parquet", _unlink), ("part-00001.parquet", _cut)],
)
def test_a_build_goes_on_where_it_was_killed_and_makes_no_finished_shard_again(name, lose, interrupted):
    before = _state(interrupted.work())
    lose(next(path for path in interrupted.work() if path.name == name))
    interrupted.build(rejected_share=0.5)
    after = _state(interrupted.shards.iterdir())
    assert {name for name in before if after[name] == before[name]} == {"part-00000.h5", "part-00002.h5"}
    assert interrupted.read == NAMES[3:6]
    assert interrupted.work() == []

    resumed = interrupted.bytes()
    shutil.rmtree(interrupted.shards)
    interrupted.build(rejected_share=0.5)
    assert interrupted.bytes() == resumed


@pytest.mark.parametrize("dataset", [{"size": 32}, {"shard_images": 4}])
def test_finished_shards_of_other_settings_are_not_taken(dataset, interrupted):
    before = _state(interrupted.work())
    interrupted.build(rejected_share=0.5, **dataset)
    assert not set(_state(interrupted.shards.iterdir()).values()) & set(before.values())
    assert next(iter(_pixels(interrupted.shards).values())).shape[1] == dataset.get("size", 16)


def test_finished_shards_of_another_archive_are_not_taken(interrupted, contents):
    interrupted.prepare(contents)
    interrupted.build()
    assert interrupted.read == NAMES
    assert interrupted.index()["image_id"].tolist() == NAMES


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
    assert project.index()["image_id"].tolist() == [*NAMES, "new.png"]
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
    elsewhere = WORK / "resize/other/left.h5"
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
from glassbox.archives import zip as zips
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
        ("part-00001.parquet", 6),
        pytest.param(".part-00000.*.h5", 0, marks=pytest.mark.long),
        pytest.param("part-00000.h5", 0, marks=pytest.mark.long),
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
