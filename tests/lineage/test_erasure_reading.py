"""What of a file gives patients away: ids where ids stand, and bytes anywhere."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from glassbox.lineage.erasure import gathering, ledger, reading, removal, scan, verdict
from glassbox.lineage.erasure.marks import Marks
from glassbox.lineage.erasure.places import File
from glassbox.lineage.erasure.recorded import Saw, Stored
from glassbox.lineage.erasure.removal import Wanted
from glassbox.lineage.erasure.windows import LENGTH, Windows, most_varied
from glassbox.lineage.lock import parse
from glassbox.params import erased

IMAGE, OTHER = "00000001_000.png", "00000011_000.png"
NOISE = np.random.default_rng(3).bytes(4_000)
SHA256 = "ab" * 32
MARKS = Marks(
    source="films",
    patients=("1",),
    images=(IMAGE,),
    hashes=(SHA256,),
    sums=((77, 12),),
    pieces=(NOISE[:64].hex(),),
)


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)


def hdf5(path, **attributes):
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=np.zeros((2, 2), np.uint8)).attrs.update(attributes)


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)


def database(path, *rows):
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("CREATE TABLE tags (key TEXT, value TEXT, run TEXT)")
        store.executemany("INSERT INTO tags VALUES (?, ?, 'r')", rows)


def texts(path, content):
    path.write_text(content)


NAMED = {
    "a column": (parquet, {"patient_id": ["3", "1"]}),
    "a number": (parquet, {"Patient ID": [3, 1]}),
    "a member": (parquet, {"member": [f"images_001/images/{IMAGE}"]}),
    "a list": (parquet, {"any": [["x"], [IMAGE]]}),
    "a struct": (parquet, {"any": [{"image": IMAGE}]}),
    "prose": (parquet, {"reason": [f"cannot read {IMAGE}: cut off"]}),
    "a hash": (parquet, {"any": [SHA256]}),
    "an attribute": (hdf5, {"patient": "1"}),
    "a text attribute": (hdf5, {"from": IMAGE}),
    "a name in a zip": (zipped, {f"films__{IMAGE}": b""}),
    "a copy beside it": (zipped, {f"__MACOSX__._{IMAGE}": b""}),
    "a table in a zip": (zipped, {"list_csv": f"x\n{IMAGE}\n"}),
}
TEXTS = {
    "JSON": json.dumps({"rows": [{"patient_id": 1}]}),
    "JSON of several": json.dumps({"patients": ["5", "1"]}),
    "lines of JSON": '{"patient_id":"3"}\n{"patient_id":"1"}\n',
    "CSV": "image,Patient ID\nx,00000001\n",
    "parameters": yaml.safe_dump({"withdrawn": {"films": ["1"]}}),
    "a run of DVC's": yaml.safe_dump({"params": {"params.yaml": {"withdrawn.films": ["1"]}}}),
    "prose": f"lost: {IMAGE}",
    "a hash": SHA256,
}
OTHERS = {
    "counts": json.dumps({"patients": 1, "withdrawn": {"patients": 1}, "images": 1}),
    "a table of counts": "fold,patients\ntrain,1\n",
    "another source": yaml.safe_dump({"withdrawn": {"other": ["1"], "films": ["2"]}}),
    "numbers": json.dumps({"epoch": 1, "patient_id": "11"}),
    "a longer name": f"{OTHER} x{IMAGE} {IMAGE}_2",
}


@pytest.mark.parametrize("what", NAMED)
def test_a_file_that_names_them_is_found_by_its_structure(what, tmp_path):
    write, content = NAMED[what]
    write(tmp_path / "object", **content)
    assert reading.holds(tmp_path / "object", "object", MARKS)


@pytest.mark.parametrize("what", TEXTS)
def test_a_text_that_names_them_is_found(what, tmp_path):
    texts(tmp_path / "object", TEXTS[what])
    assert reading.holds(tmp_path / "object", "object", MARKS)


@pytest.mark.parametrize("what", OTHERS)
def test_numbers_and_other_names_are_nobody(what, tmp_path):
    texts(tmp_path / "object", OTHERS[what])
    assert reading.holds(tmp_path / "object", "object", MARKS) == ""


def test_others_in_tables_are_nobody(tmp_path):
    parquet(tmp_path / "table", patient_id=["11", "2"], image_id=[OTHER] * 2, draws=[1, 1], patients=["1", "1"])
    hdf5(tmp_path / "shard", patients=1, size=1)
    database(tmp_path / "store", ("patients", "1"), ("step", "1"), ("note", f"of {OTHER}"))
    for name in ("table", "shard", "store"):
        assert reading.holds(tmp_path / name, name, MARKS) == ""


def test_rows_of_a_database_are_found_one_by_one(tmp_path):
    database(tmp_path / "store", ("patient", "1"), ("patient", "2"), ("note", f"of {IMAGE}"), ("n", "1"))
    assert list(reading.rows_in(tmp_path / "store", MARKS)) == [("tags", 1), ("tags", 3)]


def test_a_file_is_found_by_its_own_name_and_a_zip_by_the_sum_of_a_member(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    assert reading.holds(tmp_path / "x", f"heat_maps/{IMAGE}", MARKS)
    zipped(tmp_path / "zip", renamed=b"hello, world")
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        (member,) = archive.infolist()
    sums = MARKS.model_copy(update={"sums": ((member.CRC, 12),)})
    assert reading.holds(tmp_path / "zip", "zip", sums, ids=False)
    assert reading.holds(tmp_path / "zip", "zip", MARKS) == ""


def test_the_list_of_a_temporary_workspace_is_read_as_a_list(tmp_path):
    texts(tmp_path / "list", "12\n1\n")
    name = ".dvc/tmp/exps/x/conf/withdrawn/films.txt"
    assert reading.holds(tmp_path / "list", name, MARKS)
    assert not reading.holds(tmp_path / "list", name.replace("films", "other"), MARKS)


def test_in_a_file_of_another_source_ids_do_not_count_and_bytes_do(tmp_path):
    texts(tmp_path / "own", IMAGE)
    (tmp_path / "bytes").write_bytes(b"x" * 99 + NOISE)
    wanted = Wanted(MARKS, (), {}, {}, keep_models=False)
    elsewhere = {"own": frozenset({"other"}), "bytes": frozenset({"other"})}
    assert wanted.others(File("workspace", tmp_path / "bytes", "bytes"), "2", elsewhere) == ("other",)
    both = {"own": frozenset({"other", "films"})}
    assert wanted.others(File("workspace", tmp_path / "own", "own"), "1", both) == ()
    assert not wanted.why(File("workspace", tmp_path / "own", "own"), "1", elsewhere)
    assert wanted.why(File("workspace", tmp_path / "own", "own"), "1", both)
    assert wanted.why(File("workspace", tmp_path / "bytes", "bytes"), "2", elsewhere)


def test_unfinished_work_of_another_source_stays_and_that_of_nobody_knows_whom_goes(tmp_path):
    (tmp_path / "x").write_bytes(b"weights")
    stages = {"fine_tune@a": frozenset({"films"}), "fine_tune@b": frozenset({"other"})}
    goes = {"fine_tune/a/x": True, "fine_tune/b/x": False, "fine_tune/c/x": True, "set_aside/metrics/x": False}
    for keeps, expected in ((False, goes), (True, dict.fromkeys(goes, False))):
        wanted = Wanted(MARKS, (), {}, stages, keep_models=keeps)
        found = {name: bool(wanted.why(File("work", tmp_path / "x", f"work/{name}"), "1", {})) for name in goes}
        assert found == expected


# --- bytes -------------------------------------------------------------------------------------------------


def test_a_piece_is_found_wherever_it_begins_and_ends(tmp_path):
    path, piece = tmp_path / "file", NOISE[100 : 100 + LENGTH]
    windows = Windows([piece, NOISE[2_000:2_064]])
    for before in (*range(70), 5_000):
        for after in (0, 60):
            path.write_bytes(b"\1" * before + piece + b"\2" * after)
            assert windows.found_in(path) == piece
            path.write_bytes(b"\1" * before + piece[:-1] + b"\2" * after)
            assert windows.found_in(path) == b""


def test_the_most_varied_piece_of_an_image_is_taken_and_none_of_a_plain_one():
    image = np.full((64, 64), 7, np.uint8)
    assert most_varied(image.tobytes()) == b""
    image[40, :] = np.arange(64)
    assert most_varied(image.tobytes()) == image[40].tobytes()
    assert most_varied(NOISE[:63]) == b""


# --- what gives them away ------------------------------------------------------------------------------------


def test_a_file_that_another_patient_has_too_is_no_mark_and_is_named(tmp_path):
    own, same, theirs = f"images/{IMAGE}", f"images/{OTHER}", "images/00000001_001.png"
    zipped(tmp_path / "zip", **{own.replace("/", "__"): NOISE, same.replace("/", "__"): NOISE})
    with zipfile.ZipFile(tmp_path / "zip", "a") as archive:
        archive.writestr(theirs, NOISE[::-1])
    parquet(tmp_path / "catalog", member=[own, same, theirs], image_id=[IMAGE, OTHER, "00000001_001.png"])
    at = {"data/archives/films.zip": tmp_path / "zip", "data/catalogs/films.parquet": tmp_path / "catalog"}
    deps, outs = ([{"path": path, "hash": "md5", "md5": "a" * 32, "size": 1}] for path in at)
    stages = {"catalog@films": {"cmd": "x", "deps": deps, "outs": outs}}
    lock = parse(yaml.safe_dump({"schema": "2.0", "stages": stages}).encode(), "here")
    store = SimpleNamespace(at=lambda _, path: at.get(path))
    said = Saw({"1": {IMAGE, "00000001_001.png"}}, {}, [])
    marks, others = gathering.gather("films", said, {}, [lock], store)
    assert others == [OTHER]
    assert marks.hashes == (hashlib.sha256(NOISE[::-1]).hexdigest(),)
    assert marks.shared == (hashlib.sha256(NOISE).hexdigest(),)
    assert len(marks.sums) == 1
    assert all(bytes.fromhex(piece) not in NOISE for piece in marks.pieces)


# --- what is written down ------------------------------------------------------------------------------------


def test_the_ledger_only_grows_and_a_line_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ledger.read("films") == {}
    ledger.write("films", {"b" * 32: "data/b c.parquet"})
    ledger.write("films", {"a" * 32 + ".dir": "data/a"})
    assert ledger.path("films").read_text() == f"{'a' * 32}.dir data/a\n{'b' * 32} data/b c.parquet\n"
    assert ledger.erased(tmp_path) == dict.fromkeys(["a" * 32 + ".dir", "b" * 32], ledger.path("films"))
    ledger.path("films").write_text("nothing\n")
    with pytest.raises(ledger.ErasureError, match=r"films\.erased\.txt, line 1: 'nothing'"):
        ledger.read("films")


def test_a_folder_goes_with_a_file_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, other, gone = "f" * 32 + ".dir", "e" * 32 + ".dir", "a" * 32
    listed = {folder: {"x": gone, "y": "b" * 32}, other: {"y": "b" * 32}}
    every = {folder: Stored("data/f", frozenset()), other: Stored("data/f", frozenset())}
    every[gone] = Stored("data/f/x", frozenset())
    store = SimpleNamespace(files=lambda md5: listed.get(md5, {}))
    wanted = Wanted(MARKS, (), every, {}, keep_models=False)
    hit = removal.Hit(File("cache", tmp_path / "x", gone, gone), gone, "")
    assert removal.entries([hit], [], wanted, store) == {gone: "data/f/x", folder: "data/f"}


def test_dvc_lock_has_digests_in_place_of_ids_where_it_says_who_was_withdrawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key = erased.make_key()
    lock = {
        "schema": "2.0",
        "stages": {
            "code": {"cmd": "x", "params": {"params.yaml": {"withdrawn": {"films": ["1", "2"], "other": ["1"]}}}},
            "catalog@films": {"cmd": "x", "params": {"params.yaml": {"withdrawn.films": ["1", "2"], "n": "1"}}},
        },
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    scan.seal_lock("films", ["1"])
    stages = yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]
    now = [erased.digest(key, "films", "1"), "2"]
    assert stages["code"]["params"]["params.yaml"]["withdrawn"] == {"films": now, "other": ["1"]}
    assert stages["catalog@films"]["params"]["params.yaml"] == {"withdrawn.films": now, "n": "1"}


def test_a_model_that_was_made_again_to_the_byte_without_them_is_not_erased():
    model, data = "a" * 32, "b" * 32

    def lock(fold):
        outs = [{"path": "models/x/model.keras", "hash": "md5", "md5": model, "size": 1}]
        deps = [{"path": "data/fold", "hash": "md5", "md5": fold, "size": 1}]
        stages = {"split": {"cmd": "x", "outs": deps}, "fine_tune@x": {"cmd": "x", "deps": deps, "outs": outs}}
        return parse(yaml.safe_dump({"schema": "2.0", "stages": stages}).encode(), "here")

    gone = {model, data}
    assert verdict.made_without([lock(data)], gone) == set()
    assert verdict.made_without([lock(data), lock("c" * 32)], gone) == {model}
