"""A zip without some of its members: the others lie in it as they did, to the byte."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
import small_zip

from glassbox.archives import zip as zips
from glassbox.archives.cut import cut
from glassbox.archives.errors import ArchiveError
from glassbox.files import sha256_file

NOISE = np.random.default_rng(3).bytes(5_000)
CONTENTS = {
    "films/": b"",
    "films/12/": b"",
    "films/12/a.png": NOISE,
    "films/7/b.png": NOISE[::-1],
    "table.csv": b"image,patient\na.png,12\nb.png,7\n" * 9,
    "films/7/c.png": NOISE[::-1] * 2,
}
WITHOUT = {"films/12/a.png"}
TABLE = {"table.csv": b"image,patient\nb.png,7\n"}


class Unseekable(io.RawIOBase):
    """A stream that a zip is written to front to back: each member's sizes follow it."""

    def __init__(self, path):
        super().__init__()
        self._file = path.open("wb")

    def writable(self):
        return True

    def write(self, data):
        return self._file.write(data)

    def close(self):
        self._file.close()
        super().close()


def archive(path, *, stream=False, comment=b""):
    with zipfile.ZipFile(Unseekable(path) if stream else path, "w", zipfile.ZIP_DEFLATED) as films:
        for name, content in CONTENTS.items():
            films.writestr(zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6)), content)
        films.comment = comment
    return path


def raw(path):
    """Name -> local header and compressed bytes, and the entry of the directory without its offset."""
    found = {}
    with zips.opened(path) as descriptor:
        places = zips.directory(path).places
        content = path.read_bytes()
        for place in places:
            zips.read(descriptor, place.member)
            found[place.member.name] = (
                content[place.member.offset : place.end],
                place.entry[:42] + place.entry[46:],
            )
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_members_that_stay_lie_there_as_they_did_and_the_others_are_gone(stream, tmp_path):
    old, new = archive(tmp_path / "old.zip", stream=stream, comment=b"of 2001"), tmp_path / "new" / "cut.zip"
    assert cut(old, new, WITHOUT, TABLE) == sha256_file(new)
    before, after = raw(old), raw(new)
    # The folder that only held what is gone goes with it.
    assert list(after) == ["films/", "films/7/b.png", "table.csv", "films/7/c.png"]
    assert all(after[name] == before[name] for name in after if name != "table.csv")
    content = new.read_bytes()
    assert before["films/12/a.png"][0][40:] not in content
    assert b"a.png" not in content
    with zipfile.ZipFile(new) as films:
        assert films.testzip() is None
        assert films.read("table.csv") == TABLE["table.csv"]
        assert films.comment == b"of 2001"
        assert films.getinfo("table.csv").date_time == (2001, 2, 3, 4, 5, 6)


def test_sizes_that_follow_a_member_are_copied_with_it(tmp_path):
    old, new = archive(tmp_path / "old.zip", stream=True), tmp_path / "new.zip"
    cut(old, new, WITHOUT, {})
    place = next(place for place in zips.directory(new).places if place.member.name == "films/7/b.png")
    sizes = struct.pack("<4sL2L", b"PK\x07\x08", *place.member[4:5], *place.member[2:4])
    assert sizes in new.read_bytes()[place.end :][:40]


def test_the_same_gives_the_same_bytes_and_what_was_there_gives_way(tmp_path):
    old, new = archive(tmp_path / "old.zip"), tmp_path / "new.zip"
    new.write_bytes(b"another")
    first = cut(old, new, WITHOUT, TABLE)
    assert cut(old, tmp_path / "again.zip", WITHOUT, TABLE) == first
    # A zip may take its own place.
    assert cut(new, new, set(), {}) == first


def test_what_lies_between_members_is_nobodys_and_goes(tmp_path):
    old, new = archive(tmp_path / "old.zip"), tmp_path / "new.zip"
    with zipfile.ZipFile(old, "a") as films:
        films.start_dir += 1000
        films.writestr("last.txt", b"last")
    content = bytearray(old.read_bytes())
    hole = content.index(bytes(400))
    content[hole : hole + 6] = b"secret"
    old.write_bytes(content)
    cut(old, new, set(), {})
    assert b"secret" not in new.read_bytes()
    assert list(raw(new)) == [*CONTENTS, "last.txt"]


def test_members_beyond_4_gib_move_to_where_there_is_room(tmp_path):
    old, new = small_zip.write_beyond_4_gib(tmp_path / "old.zip"), tmp_path / "new.zip"
    cut(old, new, {"near.png"}, {})
    assert new.stat().st_size < 2 * len(small_zip.NOISE)
    with zipfile.ZipFile(new) as films:
        assert films.namelist() == ["far.png"]
        assert films.read("far.png") == small_zip.NOISE[::-1]
        assert films.getinfo("far.png").header_offset == 0


@pytest.mark.parametrize("sizes", [False, True], ids=["", "sizes in zip64 too"])
def test_what_has_to_stay_beyond_4_gib_is_found_there(sizes, tmp_path, monkeypatch):
    # As if 1,000 bytes were 4 GiB.
    monkeypatch.setattr("glassbox.archives.cut.IN_ZIP64", 1000)
    monkeypatch.setattr("glassbox.archives.zip.IN_ZIP64", 1000)
    old, new = tmp_path / "old.zip", tmp_path / "new.zip"
    with zipfile.ZipFile(old, "w") as films:
        for name in "abc":
            films.writestr(name, NOISE[:400])
    if sizes:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 300)
    assert len(zips.members(old)) == 3
    cut(old, new, {"a"}, {"b": NOISE[:990]})
    with zips.opened(new) as descriptor:
        found = {member.name: (member.offset, zips.read(descriptor, member)) for member in zips.members(new)}
    assert found == {"b": (0, NOISE[:990]), "c": (1021, NOISE[:400])}
    # In the field itself there would be no room.
    assert [place.entry[42:46] for place in zips.directory(new).places] == [bytes(4), struct.pack("<L", 1000)]


def test_more_members_than_the_old_end_record_can_count(tmp_path, monkeypatch):
    monkeypatch.setattr("glassbox.archives.cut._MOST_ENTRIES", 3)
    old, new = archive(tmp_path / "old.zip"), tmp_path / "new.zip"
    cut(old, new, WITHOUT, {})
    assert b"PK\x06\x06" in new.read_bytes()[-100:]
    assert [member.name for member in zips.members(new)] == list(raw(new))[1:]
    with zipfile.ZipFile(new) as films:
        assert len(films.namelist()) == 4
    cut(new, new, {"films/7/b.png", "films/7/c.png"}, {})
    assert b"PK\x06\x06" not in new.read_bytes()
    assert list(raw(new)) == ["table.csv"]


@pytest.mark.parametrize("member", ["films/7/b.png", "films/7/c.png"])
def test_a_member_that_is_damaged_is_refused_and_nothing_is_written(member, tmp_path):
    old, new = archive(tmp_path / "old.zip"), tmp_path / "new.zip"
    place = next(place for place in zips.directory(old).places if place.member.name == member)
    content = bytearray(old.read_bytes())
    content[place.end - 100] ^= 1
    old.write_bytes(content)
    with pytest.raises(ArchiveError, match=f"member '{member}'"):
        cut(old, new, WITHOUT, {})
    assert list(tmp_path.iterdir()) == [old]


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    old = archive(tmp_path / "old.zip")
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match=r"cut\.zip cannot be written: "):
        cut(old, tmp_path / "file" / "cut.zip", WITHOUT, {})
