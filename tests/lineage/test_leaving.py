"""What leaves an archive with a patient: every copy of their films, and their rows wherever tables have them."""

from __future__ import annotations

import codecs
import zipfile

import pytest
from small_archives import HEADER

from glassbox.archives import zip as zips
from glassbox.cohorts import kermany, nih
from glassbox.lineage.withdrawal import rows
from glassbox.lineage.withdrawal.consequences import WithdrawalError
from glassbox.lineage.withdrawal.leaving import leaving

ENTRIES = f"""{HEADER}
00000007_000.png,No Finding,0,7,41,F,PA,2500,2048,0.168,0.168
00000012_000.png,Mass|Nodule,0,12,58,M,PA,2500,2048,0.168,0.168
00000012_001.png,No Finding,1,12,58,M,PA,2500,2048,0.168,0.168
00000112_000.png,Mass,0,112,12,M,PA,2500,2048,0.168,0.168
"""
BOXES = """Image Index,Finding Label,Bbox [x,y,w,h],,,
00000012_000.png,Mass,1.0,2.0,3.0,4.0,,,
00000112_000.png,Mass,12,12,12,12,,,
"""
FILMS = {
    f"images_001/images/{name}.png": name.encode() for name in ("00000007_000", "00000012_000", "00000112_000")
}
NIH = {
    "Data_Entry_2017.csv": ENTRIES.encode(),
    "BBox_List_2017.csv": BOXES.encode(),
    "train_val_list.txt": b"00000007_000.png\n00000012_000.png\n",
    "test_list.txt": b"00000112_000.png\n00000012_001.png",
    **FILMS,
}
IMAGES = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/PNEUMONIA/person78_bacteria_378.jpeg",
    "train/PNEUMONIA/person78_virus_140.jpeg",
    "test/PNEUMONIA/person78_bacteria_379.jpeg",
)
KERMANY = {
    **{f"chest_xray/{path}": path.encode() for path in IMAGES},
    **{f"chest_xray/chest_xray/{path}": path.encode() for path in IMAGES},
    # All of these are alike.
    **{f"__MACOSX/chest_xray/{'/._'.join(path.rsplit('/', 1))}": b"seen by a desktop" for path in IMAGES},
}


@pytest.fixture
def leave(tmp_path):
    """`leave(cohort, files, *patients)`: names of the members that go, and the tables that change."""

    def run(cohort, files, *patients):
        path = tmp_path / "films.zip"
        with zipfile.ZipFile(path, "w") as films:
            for name, content in files.items():
                films.writestr(name, content)
        archive = zips.verify(path, zips.members(path), label="films")
        with zips.opened(path) as descriptor:
            return leaving(
                archive, lambda member: zips.read(descriptor, member), cohort, lambda _: patients, "sources.films"
            )

    return run


def without(text, *lines):
    return "".join(
        line for place, line in enumerate(text.splitlines(keepends=True), 1) if place not in lines
    ).encode()


def test_of_nihs_archive_the_films_go_and_their_rows_in_all_four_tables(leave):
    going, tables = leave(nih, NIH, "12")
    assert going == ["images_001/images/00000012_000.png"]
    assert tables == {
        "Data_Entry_2017.csv": without(ENTRIES, 3, 4),
        "BBox_List_2017.csv": without(BOXES, 2),
        "train_val_list.txt": b"00000007_000.png\n",
        "test_list.txt": b"00000112_000.png\n",
    }


def test_of_kermanys_archive_every_copy_goes_and_what_a_file_manager_kept_beside_it(leave):
    going, tables = leave(kermany, KERMANY, "bacteria-78")
    assert set(going) == {name for name in KERMANY if "person78_bacteria" in name}
    assert len(going) == 6
    assert tables == {}


def test_a_copy_that_is_nobodys_goes_and_one_under_another_patients_name_stays(leave):
    film = FILMS["images_001/images/00000012_000.png"]
    files = NIH | {"kept/12.bak": film, "images_001/images/00000112_000.png": film}
    going, _ = leave(nih, files, "12")
    assert going == ["images_001/images/00000012_000.png", "kept/12.bak"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "people.csv",
            b"Patient ID,Age\r\n007,41\r\n0012,58\r\n112,12\r\n",
            b"Patient ID,Age\r\n007,41\r\n112,12\r\n",
        ),
        (
            "people.csv",
            codecs.BOM_UTF8 + b"Patient ID;Age\n12;12\n7;12",
            codecs.BOM_UTF8 + b"Patient ID;Age\n7;12",
        ),
        ("ages.csv", b"Age,Boxes\n12,12\n", b"Age,Boxes\n12,12\n"),
        ("notes.csv", b'film,"said"\n00000012_000.png,"a\nb"\nx,"c\r\nd"\n', b'film,"said"\nx,"c\r\nd"\n'),
        (
            "notes.csv",
            b"said\nsee images/00000012_000.png\nsee 00000012_0001.png\n",
            b"said\nsee 00000012_0001.png\n",
        ),
        (
            "notes.csv",
            b'said\n"never closed, 00000007_000\n00000012_000,\xff\n',
            b'said\n"never closed, 00000007_000\n',
        ),
        ("read.txt", b'\xe9 "00000012_000.png" \xe9\n\xe9\n\n', b"\xe9\n\n"),
        ("read.TXT", b"00000012_000.png", b""),
    ],
)
def test_rows_that_name_them_go_from_any_table_and_every_other_byte_stays(name, before, after, leave):
    _, tables = leave(nih, NIH | {name: before}, "12")
    assert tables.get(name, before) == after


def test_a_row_that_a_quote_keeps_together_goes_as_one():
    table = b'id,said\na,"one\n2,three"\nb,c\n'
    assert rows.without(table, "x.csv", {"a"}, [], []) == b"id,said\nb,c\n"
    assert rows.without(table, "x.csv", {"2"}, [], []) == b"id,said\nb,c\n"


def test_a_member_that_names_them_and_cannot_be_cut_is_refused(leave):
    with pytest.raises(WithdrawalError, match=r"notes\.json of the archive names the image 00000012_000\.png"):
        leave(nih, NIH | {"notes.json": b'{"00000012_000.png": 1}'}, "12")


def test_where_a_row_would_take_something_of_others_with_it_nothing_goes(leave):
    one_line = NIH | {"test_list.txt": b"00000112_000.png 00000012_001.png\n"}
    with pytest.raises(WithdrawalError, match=r"sources\.films: .* says other things of others"):
        leave(nih, one_line, "12")


def test_who_is_not_in_it_changes_nothing(leave):
    assert leave(nih, NIH, "13") == ([], {})
