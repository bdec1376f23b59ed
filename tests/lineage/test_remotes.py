"""What lies in a remote of DVC's is hashed again where the audit is told to look there, and nowhere else."""

import shutil
from pathlib import Path

import dvc.repo
import pytest
import recorded
from click.testing import CliRunner
from recorded import MODEL, judged, write

from glassbox.cli import main
from glassbox.lineage import remotes
from glassbox.lineage.link import Verdict
from glassbox.lineage.lock import LineageError

SHARD = "data/shards/films_32/part-00000.h5"


@pytest.fixture(scope="module")
def pushed_once(tmp_path_factory, recorded_once):
    """The recorded project, pushed to a folder beside it."""
    root = recorded.copy(recorded_once, tmp_path_factory.mktemp("pushed") / "project")
    with recorded.inside(root):
        with Path(".dvc/config").open("a") as stream:
            stream.write(
                "['remote \"store\"']\n    url = ../../store\n['remote \"far\"']\n    url = s3://nowhere\n"
            )
        with dvc.repo.Repo(".") as repo:
            repo.push(remote="store")
    return root.parent


EITHER_WAY = pytest.mark.parametrize("store", ["a folder", "far away"], indirect=True)


@pytest.fixture
def store(request, tmp_path, pushed_once, monkeypatch):
    """The remote's objects; the project is the working directory. What is no folder is fetched."""
    shutil.copytree(pushed_once / "store", tmp_path / "store")
    if getattr(request, "param", "a folder") == "far away":
        monkeypatch.setattr(remotes.Remote, "is_folder", property(lambda _: False))
    with recorded.inside(recorded.copy(pushed_once / "project", tmp_path / "project")):
        yield tmp_path / "store" / "files" / "md5"


def lose(*places):
    """Removes files and folders, and DVC's cache."""
    for place in (".dvc/cache", *places):
        shutil.rmtree(place) if Path(place).is_dir() else Path(place).unlink()


def held(store, path):
    """Where the remote holds a file of the project."""
    md5 = remotes.sums(Path(path)).md5
    return store / md5[:2] / md5[2:]


def test_copies_in_a_remote_are_hashed_where_it_is_named(store):
    done, bad = judged(remotes=["store"], again=3)
    assert (done.passed, bad) == (True, {})
    places = {link.name: link.found for link in done.links}
    assert places["data/shards/films_32"].endswith("(workspace, cache, remote store)")
    assert places["data/archives/films.zip"].endswith("(workspace, cache)"), "archives are not pushed"
    assert "remote" not in {link.name: link.found for link in judged()[0].links}["data/shards/films_32"]


@EITHER_WAY
def test_what_only_a_remote_has_proves_the_model_and_is_missing_where_none_is_named(store):
    lose("data/shards", "data/splits", "models")
    done, bad = judged()
    assert not done.passed
    assert bad["data/shards/films_32"].verdict == Verdict.MISSING
    assert bad["data/shards/films_32"].action == "run `dvc pull data/shards/films_32`"
    done, bad = judged(remotes=["store"], again=1000)
    assert (done.passed, bad) == (True, {})
    assert done.record is not None
    assert not Path("data/shards").exists(), "an audit brings nothing into the project"
    assert not Path(".dvc/cache").exists()


@EITHER_WAY
@pytest.mark.parametrize("is_whole_here", [True, False])
def test_one_byte_that_is_another_in_a_remote_is_wrong_and_named(store, is_whole_here):
    at = held(store, SHARD)
    content = bytearray(at.read_bytes())
    content[len(content) // 2] ^= 1
    write(at, bytes(content))
    if not is_whole_here:
        lose("data/shards")
    done, bad = judged(remotes=["store"])
    assert not done.passed
    link = bad["data/shards/films_32"]
    name = "/".join(at.parts[-4:])
    assert link.verdict == Verdict.WRONG
    assert link.found.startswith(f"remote store: {SHARD} ({name}) has md5 ")
    assert "`dvc push -r store data/shards/films_32`" in link.action


def test_a_list_of_files_that_is_damaged_in_a_remote_is_wrong(store):
    (md5,) = (
        out["md5"]
        for entry in recorded.lock().values()
        for out in entry["outs"]
        if out["path"] == "data/splits/squares"
    )
    write(store / md5[:2] / md5[2:], b"[]")
    done, bad = judged(remotes=["store"])
    assert not done.passed
    assert (
        bad["data/splits/squares"].found
        == f"remote store: files/md5/{md5[:2]}/{md5[2:]} lists other files than when it was written"
    )


def test_what_a_remote_lost_is_no_copy(store):
    held(store, SHARD).unlink()
    lose("data/shards")
    done, bad = judged(remotes=["store"])
    assert not done.passed
    assert bad["data/shards/films_32"].verdict == Verdict.MISSING


def test_a_part_of_a_folder_that_is_damaged_is_wrong_though_the_rest_was_lost(store):
    held(store, "data/shards/films_32/index.parquet").unlink()
    write(held(store, SHARD), b"garbage")
    done, bad = judged(remotes=["store"])
    assert not done.passed
    assert "(files/md5/" in bad["data/shards/films_32"].found


def test_a_remote_that_is_not_there_is_refused(pushed_once, tmp_path):
    with recorded.inside(recorded.copy(pushed_once / "project", tmp_path / "project")):
        for name in ("nobody", "far"):
            with pytest.raises(LineageError, match=f"remote {name} cannot be used: "):
                judged(remotes=[name])
        done = CliRunner().invoke(main, ["audit", MODEL, "--remote", "nobody"])
        assert done.exit_code == 1
        assert "one of: store, far" in done.output
