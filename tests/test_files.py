"""A file is whole or absent, whenever its writer dies; a lock dies with its holder."""

from __future__ import annotations

import hashlib
import selectors
import subprocess
import sys

import pytest

from glassbox import files


def process(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(running):
    running.kill()
    running.wait(timeout=60)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- atomic ------------------------------------------------------------------------------------------------


def test_a_file_appears_whole_and_alone_and_its_folder_is_made(tmp_path):
    path = tmp_path / "deep" / "er" / "table.csv"
    with files.atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["table.csv"]


def test_a_temporary_name_is_hidden_beside_the_file_keeps_its_suffix_and_is_never_shared(tmp_path):
    path = tmp_path / "model.keras"
    with files.atomic(path) as one, files.atomic(path) as other:
        assert one != other
        for temporary in (one, other):
            assert (temporary.parent, temporary.suffix, temporary.name[0]) == (tmp_path, ".keras", ".")
            temporary.write_text("x")


def test_an_error_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old")

    def write():
        with files.atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["scores.json"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic(tmp_path / "a.json"):
        pass
    assert names(tmp_path) == []


def test_a_folder_replaces_the_whole_of_the_old_one(tmp_path):
    shards = tmp_path / "shards"
    (shards / "deep").mkdir(parents=True)
    (shards / "stale.h5").write_text("stale")
    with files.atomic(shards) as folder:
        folder.mkdir()
        (folder / "new.h5").write_text("new")
        assert (shards / "stale.h5").read_text() == "stale"
    assert names(shards) == ["new.h5"]
    assert names(tmp_path) == ["shards"]


def test_an_error_leaves_the_old_folder_whole_and_nothing_beside_it(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "old.h5").write_text("old")

    def write():
        with files.atomic(shards) as folder:
            folder.mkdir()
            (folder / "new.h5").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert names(tmp_path) == ["shards"]
    assert {path.name: path.read_text() for path in shards.iterdir()} == {"old.h5": "old"}


def test_a_writer_that_is_killed_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    code = (
        "import sys, time, pathlib\n"
        "from glassbox.files import atomic\n"
        "with atomic(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    print('written')\n"
        "    time.sleep(60)\n"
    )
    with process(code, path) as writer:
        assert writer.stdout.readline() == "written\n"
        kill(writer)
    assert path.read_text() == "old"
    (left,) = set(names(tmp_path)) - {"table.csv"}
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["table.csv"], f"{left} was left by the killed writer"


def test_what_killed_writers_of_a_folder_left_is_removed_with_all_that_is_in_it(tmp_path):
    for writer in ("0" * 32, "f" * 32):
        (tmp_path / f".shards.{writer}" / "deep").mkdir(parents=True)
        (tmp_path / f".shards.{writer}" / "deep" / "part.h5").touch()
    with files.atomic(tmp_path / "shards") as folder:
        folder.mkdir()
    assert names(tmp_path) == ["shards"]


@pytest.mark.parametrize("name", ["nih-1.2.csv", "[a-z]*?.csv", "table", ".table.csv"])
def test_only_what_writers_of_this_very_file_left_is_removed(name, tmp_path):
    left, other = "0123456789abcdef" * 2, "0123456789abcdeg" * 2
    path = tmp_path / name
    gone = f".{path.stem}.{left}{path.suffix}"
    kept = [
        f"{path.stem}.{left}{path.suffix}",
        f".{path.stem}.{other}{path.suffix}",
        f".{path.stem}.{left}0{path.suffix}",
        f".{path.stem}.{left}{path.suffix}x",
        f".other.{left}{path.suffix}",
        f".{path.stem}.more.{left}{path.suffix}",
    ]
    for entry in (gone, *kept):
        (tmp_path / entry).touch()
    files.write_text(path, "new")
    assert names(tmp_path) == sorted([name, *kept])


def test_a_writer_whose_unfinished_file_is_gone_fails_and_leaves_its_successors(tmp_path):
    path = tmp_path / "table.csv"

    def write():
        with files.atomic(path) as temporary:
            temporary.write_text("by an orphan")
            files.write_text(path, "by its successor")

    with pytest.raises(FileNotFoundError):
        write()
    assert path.read_text() == "by its successor"
    assert names(tmp_path) == ["table.csv"]


# --- content -----------------------------------------------------------------------------------------------


def test_json_is_indented_in_the_given_order_with_its_letters_and_a_final_newline(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": 1, "a": "ä"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "b": 1,\n  "a": "ä"\n}\n'.encode()


def test_json_refuses_what_is_no_number_and_writes_nothing(tmp_path):
    (tmp_path / "old.json").write_text("old")
    for name, value in (("new.json", float("nan")), ("old.json", float("inf"))):
        with pytest.raises(ValueError, match="JSON compliant"):
            files.write_json(tmp_path / name, {"roc_auc": value})
    assert names(tmp_path) == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{", b"\xff{}", b"[" * 100_000])
def test_what_is_no_json_object_is_read_as_an_empty_one(content, tmp_path):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    assert files.json_object(path) == {}
    path.write_bytes(b'{"a": 1}')
    assert files.json_object(path) == {"a": 1}


def test_a_fingerprint_is_of_the_value_not_of_the_order_of_its_keys():
    assert files.fingerprint({"a": [2, 3]}) != files.fingerprint({"a": [3, 2]})
    assert files.fingerprint({"a": 1}) != files.fingerprint({"a": "1"})
    assert files.fingerprint({"b": 1, "a": "ü"}) == hashlib.sha256(b'{"a":"\\u00fc","b":1}').hexdigest()


# --- the lock ----------------------------------------------------------------------------------------------

_HOLD = (
    "import sys, time, pathlib\n"
    "from glassbox.files import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), 'stage split@s'):\n"
    "    print('held')\n"
    "    time.sleep(60)\n"
)


def test_a_lock_waits_for_another_process_says_so_and_dies_with_a_killed_holder(tmp_path):
    lock = tmp_path / "locks" / "split@s.lock"
    with process(_HOLD, lock) as holder, process(_HOLD, lock) as waiter:
        with selectors.DefaultSelector() as selector:
            for one, other in ((holder, waiter), (waiter, holder)):
                selector.register(one.stdout, selectors.EVENT_READ, (one, other))
            ((key, _), *too_many) = selector.select(timeout=120)
            assert not too_many
            running, waiting = key.data
            assert running.stdout.readline() == "held\n"
            # The other one says what it waits for, and does not go on.
            assert waiting.stderr.readline() == (
                f"stage split@s is still running in another process: waiting for it ({lock})\n"
            )
            selector.unregister(running.stdout)
            assert selector.select(timeout=0.3) == []
            kill(running)
            assert selector.select(timeout=120)
            assert waiting.stdout.readline() == "held\n"
        kill(waiting)


def test_a_free_lock_is_taken_silently_and_given_back_even_by_an_error(tmp_path, capfd):
    lock = tmp_path / "a.lock"
    with pytest.raises(RuntimeError), files.locked(lock, "stage a"):
        raise RuntimeError
    with files.locked(lock, "stage a"):
        pass
    assert capfd.readouterr().err == ""
