import errno
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_zip import CONTENTS, write

from glassbox import layout
from glassbox.errors import ArchiveError
from glassbox.sources import index
from glassbox.sources import zip as zips
from glassbox.sources.zip import Member


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive of a source `films`, in a project that is the working directory."""
    monkeypatch.chdir(tmp_path)
    layout.archive("films").parent.mkdir(parents=True)
    return write(layout.archive("films"))


def test_an_index_gives_back_the_members_of_its_archive(archive: Path) -> None:
    written = index.write(archive, layout.members("films"))
    read = index.read("films")
    assert read == written == zips.members(archive)
    assert [type(value) for value in read[0]] == [str, int, int, int, int, int]
    assert all(isinstance(member, Member) for member in read)
    with zips.opened(archive) as descriptor:
        assert {member.name: zips.read(descriptor, member) for member in read} == CONTENTS


def test_an_index_is_read_without_its_archive(archive: Path) -> None:
    index.write(archive, layout.members("films"))
    archive.unlink()
    assert [member.name for member in index.read("films")] == list(CONTENTS)


def test_another_process_reads_members_at_what_the_index_says(archive: Path) -> None:
    index.write(archive, layout.members("films"))
    script = (
        "import hashlib, json, zipfile\n"
        "from glassbox import layout\n"
        "from glassbox.sources import index, zip as zips\n"
        "zips.members = None\n"  # no directory is parsed again
        "with zips.opened(layout.archive('films')) as descriptor:\n"
        "    contents = {m.name: zips.read(descriptor, m) for m in index.read('films')}\n"
        "print(json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()
    }


def test_the_same_archive_gives_the_same_bytes_wherever_it_lies(archive: Path, tmp_path: Path) -> None:
    index.write(archive, layout.members("films"))
    first = layout.members("films").read_bytes()
    elsewhere = tmp_path / "elsewhere" / "other.zip"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(archive.read_bytes())
    os.utime(elsewhere, (0, 0))
    index.write(elsewhere, elsewhere.with_suffix(".parquet"))
    assert elsewhere.with_suffix(".parquet").read_bytes() == first
    index.write(archive, layout.members("films"))
    assert layout.members("films").read_bytes() == first


def test_an_index_holds_the_fields_of_a_member_and_nothing_else(archive: Path) -> None:
    index.write(archive, layout.members("films"))
    schema = pq.read_schema(layout.members("films"))
    assert schema.names == list(Member._fields)
    assert schema.equals(index.SCHEMA)
    assert schema.metadata is None


def test_values_of_any_size_come_back_as_they_are(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [Member("Röntgen/肺.png", 2**62, zips.LARGEST_MEMBER, 2**28, 2**32 - 1, zips.DEFLATED)]
    monkeypatch.setattr(index, "members", {archive: members}.__getitem__)
    index.write(archive, layout.members("films"))
    assert index.read("films") == members


def test_an_archive_without_members_has_an_empty_index(archive: Path) -> None:
    zipfile.ZipFile(archive, "w").close()
    assert index.write(archive, layout.members("films")) == []
    assert index.read("films") == []


def test_an_index_of_as_many_members_as_nih_has_is_small_and_read_at_once(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crcs = zip(*[iter(hashlib.shake_128(b"crc").digest(4 * 112_120))] * 4, strict=True)
    members = [
        Member(f"images_{number // 10_000:03d}/images/{number // 4:08d}_{number % 4:03d}.png", *values)
        for number, crc in enumerate(crcs)
        for size in [400_000 + int.from_bytes(crc[:2], "big")]
        for values in [(number * 470_000, size, size - 99, int.from_bytes(crc, "big"), zips.DEFLATED)]
    ]
    monkeypatch.setattr(index, "members", {archive: members}.__getitem__)
    index.write(archive, layout.members("films"))
    assert layout.members("films").stat().st_size < 6_000_000
    assert index.read("films") == members


def test_a_missing_index_is_no_file(archive: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data/archives/films\.members\.parquet"):
        index.read("films")


def test_a_refused_archive_leaves_the_index_of_before(archive: Path) -> None:
    index.write(archive, layout.members("films"))
    before = layout.members("films").read_bytes()
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(ArchiveError, match="is no readable zip"):
        index.write(archive, layout.members("films"))
    assert layout.members("films").read_bytes() == before
    assert sorted(path.name for path in archive.parent.iterdir()) == ["films.members.parquet", "films.zip"]


def test_a_full_disk_leaves_the_index_of_before(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.write(archive, layout.members("films"))
    before = layout.members("films").read_bytes()

    def fill(table: object, path: Path, **options: object) -> None:
        path.write_bytes(b"PAR1 and no more")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fill)
    with pytest.raises(OSError, match="No space left"):
        index.write(archive, layout.members("films"))
    assert layout.members("films").read_bytes() == before
    assert sorted(path.name for path in archive.parent.iterdir()) == ["films.members.parquet", "films.zip"]
