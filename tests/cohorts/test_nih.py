import pytest

from glassbox.archives import zip as zips
from glassbox.archives.errors import ArchiveError
from glassbox.archives.tables import CatalogError

ONE, TWO, OTHER = "00000001_000.png", "00000001_001.png", "00000002_000.png"
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"


def _films(*images):
    return {f"images_001/images/{image}": image.encode() for image in images}


@pytest.fixture
def files(entries):
    """An archive of three films of two patients, with all four tables."""
    return {
        **_films(ONE, TWO, OTHER),
        "Data_Entry_2017.csv": entries(
            (ONE, "Infiltration|Mass", 1, 57),
            (TWO, "No Finding", 1, 58, "M", "AP"),
            (OTHER, "Hernia", 2, 40, "F", "PA"),
        ),
        "BBox_List_2017.csv": f"{BOXES}{OTHER},Infiltrate,225.5,547,86.75,79\n{OTHER},Mass,1,2,3,4\n".encode(),
        "train_val_list.txt": f"{ONE}\n{TWO}\n".encode(),
        "test_list.txt": OTHER.encode(),
    }


def test_rows_say_what_the_tables_say(project, files):
    rows, images = project.tables("nih", files)
    assert rows.drop(columns="boxes").to_dict("records") == [
        {
            "image_id": ONE,
            "findings": ["Infiltration", "Mass"],
            "patient_id": "1",
            "age": 57.0,
            "sex": "M",
            "view": "PA",
            "official_split": "train_val",
        },
        {
            "image_id": TWO,
            "findings": ["No Finding"],
            "patient_id": "1",
            "age": 58.0,
            "sex": "M",
            "view": "AP",
            "official_split": "train_val",
        },
        {
            "image_id": OTHER,
            "findings": ["Hernia"],
            "patient_id": "2",
            "age": 40.0,
            "sex": "F",
            "view": "PA",
            "official_split": "test",
        },
    ]
    assert {image: member.name for image, member in images.items()} == {
        image: f"images_001/images/{image}" for image in (ONE, TWO, OTHER)
    }


# --- the table of entries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end_of_header", ["", ","], ids=["not in the header", "in the header"])
@pytest.mark.parametrize("end_of_rows", ["", ","], ids=["not in the rows", "in the rows"])
def test_a_comma_at_the_end_shifts_no_column(end_of_header, end_of_rows, project, files, entries):
    text = files["Data_Entry_2017.csv"].decode().splitlines()
    changed = [text[0] + end_of_header, *(line + end_of_rows for line in text[1:])]
    expected = project.tables("nih", files).rows
    found = project.tables("nih", files | {"Data_Entry_2017.csv": "\n".join(changed).encode()}).rows
    assert found.equals(expected)


@pytest.mark.filterwarnings("error")
def test_the_comma_at_the_end_is_no_reason_for_a_warning(project, files, entries):
    project.tables("nih", files | {"Data_Entry_2017.csv": entries((ONE, "Mass", 1, 58), end=",")})


@pytest.mark.parametrize("kept", range(1, 5))
def test_a_row_that_was_cut_is_refused(kept, project, files):
    *rows, last = files["Data_Entry_2017.csv"].decode().splitlines()
    cut = ",".join(last.split(",")[:kept])
    with pytest.raises(CatalogError, match=r"given to patient ''|age ''"):
        project.tables("nih", files | {"Data_Entry_2017.csv": "\n".join([*rows, cut]).encode()})


def test_lines_may_end_as_on_windows_and_the_file_begin_with_a_mark(project, files):
    expected = project.tables("nih", files).rows
    for name in ("Data_Entry_2017.csv", "BBox_List_2017.csv", "train_val_list.txt", "test_list.txt"):
        files[name] = b"\xef\xbb\xbf" + files[name].replace(b"\n", b"\r\n")
    assert project.tables("nih", files).rows.equals(expected)


@pytest.mark.parametrize(
    ("age", "years"),
    [("58", 58.0), ("058Y", 58.0), ("006M", 0.5), ("001m", 0.08), ("010W", 0.19), ("004D", 0.01), (" 7 ", 7.0)],
)
def test_ages_are_years_whatever_their_unit(age, years, project, files, entries):
    files["Data_Entry_2017.csv"] = entries((ONE, "Mass", 1, age))
    assert project.tables("nih", files).rows["age"].tolist() == [years]


@pytest.mark.parametrize("age", ["", "Y", "58X", "-3", "5.5.5", "old"])
def test_an_age_that_is_none_is_refused(age, project, files, entries):
    files["Data_Entry_2017.csv"] = entries((ONE, "Mass", 1, age))
    with pytest.raises(CatalogError) as refusal:
        project.tables("nih", files)
    assert refusal.value.found == f"Data_Entry_2017.csv: age {age!r}"
    assert "058Y" in refusal.value.expected


def test_sex_and_view_may_be_unknown(project, files, entries):
    files["Data_Entry_2017.csv"] = entries((ONE, "Mass", 1, 58, "", ""), (TWO, "Mass", 1, 58))
    rows = project.tables("nih", files).rows
    assert rows["sex"].isna().tolist() == rows["view"].isna().tolist() == [True, False]


@pytest.mark.parametrize("column", ["Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position"])
def test_a_missing_column_is_refused_with_the_columns_that_are_there(column, project, files):
    files["Data_Entry_2017.csv"] = files["Data_Entry_2017.csv"].replace(column.encode(), b"Something Else")
    with pytest.raises(CatalogError) as refusal:
        project.tables("nih", files)
    assert f"Data_Entry_2017.csv lacks the column(s) '{column}'; it has " in refusal.value.found
    assert "'Something Else'" in refusal.value.found
    assert f"'{column}'" in refusal.value.expected


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01" * 9], ids=["empty", "binary"])
def test_what_is_no_table_is_refused(content, project, files):
    with pytest.raises(CatalogError, match=r"Data_Entry_2017\.csv (is no table|lacks the column)"):
        project.tables("nih", files | {"Data_Entry_2017.csv": content})


@pytest.mark.parametrize("patient", [2, "", "one"])
def test_a_patient_who_contradicts_the_name_of_the_image_is_refused(patient, project, files, entries):
    files["Data_Entry_2017.csv"] = entries((OTHER, "Mass", 2, 58), (ONE, "Mass", patient, 58))
    with pytest.raises(CatalogError) as refusal:
        project.tables("nih", files)
    assert refusal.value.found == f"Data_Entry_2017.csv: image {ONE} is given to patient '{patient}'"
    assert "leak between folds" in refusal.value.action


def test_a_patient_number_with_leading_zeros_is_the_same_patient(project, files, entries):
    files["Data_Entry_2017.csv"] = entries((ONE, "Mass", "00000001", 58), (TWO, "Mass", 1, 58))
    assert project.tables("nih", files).rows["patient_id"].tolist() == ["1", "1"]


# --- lists and boxes ---------------------------------------------------------------------------------------


def test_boxes_have_the_names_of_findings_and_the_pixels_of_the_full_film(project, files):
    rows = project.tables("nih", files).rows.set_index("image_id")
    assert rows.loc[OTHER, "boxes"] == [
        {"finding": "Infiltration", "x": 225.5, "y": 547.0, "width": 86.75, "height": 79.0},
        {"finding": "Mass", "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0},
    ]
    assert rows.loc[ONE, "boxes"] == rows.loc[TWO, "boxes"] == []


def test_boxes_of_images_that_are_not_listed_are_passed_over(project, files):
    files["BBox_List_2017.csv"] += b"00013118_008.png,Atelectasis,1,2,3,4\n"
    rows = project.tables("nih", files).rows
    assert rows["boxes"].map(len).tolist() == [0, 0, 2]
    assert len(rows) == 3


@pytest.mark.parametrize("sides", ["1,2,wide,4", "1,2"], ids=["no number", "too few columns"])
def test_a_box_that_is_none_is_refused(sides, project, files):
    with pytest.raises(CatalogError, match=rf"BBox_List_2017\.csv: a box of {ONE} lacks a number"):
        project.tables("nih", files | {"BBox_List_2017.csv": f"{BOXES}{ONE},Mass,{sides}\n".encode()})


def test_without_lists_and_boxes_nothing_is_official_and_nothing_boxed(project, files):
    for name in ("BBox_List_2017.csv", "train_val_list.txt", "test_list.txt"):
        del files[name]
    rows = project.tables("nih", files).rows
    assert rows["official_split"].isna().all()
    assert rows["boxes"].tolist() == [[], [], []]


def test_an_image_in_no_list_has_no_official_split(project, files):
    rows = project.tables("nih", files | {"train_val_list.txt": ONE.encode()}).rows
    assert rows["official_split"].isna().tolist() == [False, True, False]


# --- where the tables lie ----------------------------------------------------------------------------------


def test_tables_may_lie_in_a_folder_and_under_their_newer_name(project, files):
    expected = project.tables("nih", files).rows
    moved = {name if name.endswith(".png") else f"NIH/{name}": content for name, content in files.items()}
    moved["NIH/Data_Entry_2017_v2020.csv"] = moved.pop("NIH/Data_Entry_2017.csv")
    assert project.tables("nih", moved).rows.equals(expected)


def test_an_archive_without_a_table_is_refused(project, files):
    del files["Data_Entry_2017.csv"]
    with pytest.raises(CatalogError) as refusal:
        project.tables("nih", files)
    assert refusal.value.found == "the archive has no Data_Entry_2017.csv"
    assert "check the source's layout" in refusal.value.action


@pytest.mark.parametrize("name", ["Data_Entry_2017.csv", "BBox_List_2017.csv", "test_list.txt"])
def test_an_archive_with_two_such_tables_is_refused_with_both(name, project, files):
    with pytest.raises(CatalogError) as refusal:
        project.tables("nih", files | {f"old/{name}": files[name]})
    assert refusal.value.found == f"the archive has {name} and old/{name}"
    assert refusal.value.expected == "one such table"


def test_what_a_desktop_leaves_behind_is_no_table_and_no_image(project, files):
    expected = project.tables("nih", files)
    junk = {
        "__MACOSX/Data_Entry_2017.csv": b"junk",
        "__MACOSX/images/._00000009_000.png": b"junk",
        "images/.DS_Store": b"junk",
        "images/._00000001_000.png": b"junk",
    }
    found = project.tables("nih", junk | files)
    assert found.rows.equals(expected.rows)
    assert found.images.keys() == expected.images.keys()


def test_a_damaged_table_is_refused_as_damage_of_the_archive(project, files):
    project.zip(files)
    data = bytearray(project.archive.read_bytes())
    table = next(member for member in zips.members(project.archive) if member.name == "Data_Entry_2017.csv")
    data[table.offset + 30 + len(table.name) + 20] ^= 0xFF
    project.archive.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"'Data_Entry_2017\.csv'"):
        project.tables("nih")
