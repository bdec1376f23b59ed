"""The key of the erased, their digests in the lists, and what a list without the key may be held against."""

from __future__ import annotations

import hashlib
import hmac

import builders
import pytest

from glassbox.params import cut_archive, erased, withdrawn
from glassbox.params.document import load
from glassbox.params.read import ParamsError, parse
from glassbox.params.sources import AnySource

KEY = bytes(range(32))
CUT = cut_archive.Cut(
    archive={"path": "archives/films.zip", "sha256": "a" * 64},
    key_sha256=hashlib.sha256(KEY).hexdigest(),
    replaces=(),
)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with one source, `films`, of which nobody is withdrawn; the working directory."""
    monkeypatch.chdir(tmp_path)
    builders.parameters(builders.document())


def put_key(key=KEY):
    erased.KEY.parent.mkdir(exist_ok=True)
    erased.KEY.write_bytes(key)


def digest(patient, source="films"):
    return "erased:" + hmac.new(KEY, f"{source}\0{patient}".encode(), hashlib.sha256).hexdigest()


def test_the_key_is_drawn_once_and_only_its_owner_may_read_it():
    assert erased.read_key() is None
    key = erased.make_key()
    assert len(key) == 32
    assert erased.make_key() == erased.read_key() == key
    assert (erased.KEY.stat().st_mode & 0o777, erased.KEY.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_digest_says_who_it_is_of_to_whoever_has_the_key_alone():
    listed = ["7", digest("12"), digest("12", "other")]
    patients = ["7", "12", "112"]
    assert erased.among("films", patients, listed) == set()
    put_key()
    assert erased.digest(KEY, "films", "12") == digest("12")
    assert erased.among("films", patients, listed) == {"12"}
    assert erased.among("other", patients, listed) == {"12"}
    assert erased.among("third", patients, listed) == set()


def test_lists_hold_digests_beside_ids_and_nothing_that_only_looks_like_one():
    withdrawn.write("films", [digest("12"), "7"])
    assert withdrawn.read("films") == ["7", digest("12")]
    for line in ("erased:12", f"erased:{'A' * 64}", digest("12")[:-1]):
        withdrawn.path("films").write_text(f"{line}\n")
        with pytest.raises(ParamsError, match=r"line 1: .* is no patient's id, nor 'erased:' and 64 hexadecimal"):
            withdrawn.read("films")


@pytest.mark.parametrize(
    ("archive", "key", "found"),
    [
        ({"kind": "archive", "path": "elsewhere.zip", "sha256": "a" * 64}, None, None),
        (
            {"kind": "archive", "path": "archives/films.zip", "sha256": "b" * 64},
            None,
            "whether this archive holds",
        ),
        ({"kind": "archive", "path": "archives/films.zip", "sha256": "b" * 64}, KEY, None),
        ({"kind": "kaggle", "ref": "a/b", "version": 1}, None, "whether this archive holds"),
        ({"kind": "archive", "path": "archives/films.zip", "sha256": "a" * 64}, bytes(32), "another key"),
    ],
)
def test_an_archive_that_may_hold_them_is_taken_with_the_key_alone(archive, key, found):
    settings = parse({"layout": "nih", **archive}, AnySource, "films")
    cut_archive.write("films", CUT)
    if key:
        put_key(key)
    listed, patients = ["7", digest("12")], ["7", "12", "112"]
    assert cut_archive.left_out("films", settings, ["7"], patients) == {"7"}, "nobody was erased"
    if found:
        with pytest.raises(ParamsError, match=found):
            cut_archive.left_out("films", settings, listed, patients)
    else:
        assert cut_archive.left_out("films", settings, listed, patients) == ({"7", "12"} if key else {"7"})


def test_digests_without_the_record_of_the_erasure_are_refused_with_or_without_the_key():
    withdrawn.write("films", [digest("12")])
    builders.parameters(builders.document() | {"withdrawn": {"films": [digest("12")]}})
    for _ in range(2):
        with pytest.raises(ParamsError, match=r"conf/withdrawn/films\.archive\.yaml is not there"):
            load()
        put_key()


@pytest.mark.parametrize("text", ["archive: [", "archive: 1\n", "", "archive: {path: x, sha256: y}\n"])
def test_a_record_that_is_none_is_refused(text):
    withdrawn.LISTS.mkdir(parents=True)
    cut_archive.path("films").write_text(text)
    with pytest.raises(ParamsError, match=r"conf/withdrawn/films\.archive\.yaml"):
        cut_archive.read("films")
