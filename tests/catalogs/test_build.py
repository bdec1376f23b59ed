import json

import numpy as np
import pandas as pd
import pytest
from dvc.render.converter.vega import get_datapoints

from glassbox.archives.tables import CatalogError, Tables, images_by_name
from glassbox.artifacts import catalog, members
from glassbox.artifacts.damage import ArtifactError
from glassbox.catalogs.build import build
from glassbox.cohorts import kermany
from glassbox.params.sources import ArchiveSource

BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"


def _name(patient, film=0):
    return f"{patient:08d}_{film:03d}.png"


@pytest.fixture
def cohort(entries):
    """An archive of NIH's layout with a table of some patients and films of some, one each."""

    def make(listed=range(1, 7), there=None):
        return {
            f"images/{_name(patient)}": _name(patient).encode() for patient in (listed if there is None else there)
        } | {
            "Data_Entry_2017.csv": entries(*((_name(patient), "Mass", patient, 50) for patient in listed)),
            "test_list.txt": _name(6).encode(),
            "BBox_List_2017.csv": f"{BOXES}{_name(6)},Mass,1,2,3,4\n{_name(999)},Mass,1,2,3,4\n".encode(),
        }

    return make


def test_the_catalog_is_in_archive_order_whatever_the_order_of_the_table(project, cohort):
    rows = project.build("nih", cohort(there=[4, 2, 6, 1, 5, 3]))
    assert rows["patient_id"].tolist() == ["4", "2", "6", "1", "5", "3"]
    assert rows["member"].tolist() == [f"images/{image}" for image in rows["image_id"]]


def test_a_catalog_says_in_which_words_it_is_written(project, cohort):
    project.build("nih", cohort())
    _, (findings, absence) = catalog.read("films", ["image_id"])
    assert len(findings) == 14
    assert "Pleural_Thickening" in findings
    assert absence == "No Finding"


def test_a_catalog_can_be_read_by_column(project, cohort):
    project.build("nih", cohort())
    assert list(catalog.read("films", ["image_id", "member"])[0].columns) == ["image_id", "member"]
    row = catalog.read("films")[0].iloc[-1]
    assert list(row["findings"]) == ["Mass"]
    assert list(row["boxes"]) == [{"finding": "Mass", "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0}]
    assert (row["age"], row["official_split"]) == (50, "test")


def test_the_same_archive_gives_the_same_bytes_twice(project, cohort):
    bytes_of = []
    for _ in range(2):
        project.build("nih", cohort())
        bytes_of.append([path.read_bytes() for path in sorted(project.outputs())])
    assert bytes_of[0] == bytes_of[1]
    assert len(bytes_of[0]) == 2


def test_nihs_tables_as_on_kaggle_give_the_same_catalog(project, cohort, entries):
    rows = [(_name(patient), "Mass", patient, 50) for patient in range(1, 7)]
    project.build("nih", cohort())
    before = {path: path.read_bytes() for path in project.outputs()}
    as_on_kaggle = entries(*((*row[:3], "050Y") for row in rows), end=",")
    assert as_on_kaggle.count(b",050Y,M,PA,2500,2048,0.168,0.168,\n") == 6
    project.build("nih", cohort() | {"Data_Entry_2017.csv": as_on_kaggle})
    assert {path: path.read_bytes() for path in project.outputs()} == before


def test_the_pneumonia_set_as_on_kaggle_has_the_catalog_of_its_plain_files(project):
    names = (
        *("train/PNEUMONIA/person1_bacteria_1.jpeg", "train/PNEUMONIA/person447_virus_921_1.jpeg"),
        *("val/NORMAL/NORMAL2-IM-1427-0001.jpeg", "test/NORMAL/IM-0439-0001-0002.jpeg"),
    )
    plain = {f"chest_xray/{name}": name.encode() for name in names}
    project.build("kermany", plain)
    before = {path: path.read_bytes() for path in project.outputs()}
    twice = {"chest_xray/.DS_Store": b"junk"}
    for name, content in plain.items():
        folder, _, last = name.rpartition("/")
        twice |= {f"__MACOSX/{folder}/._{last}": b"junk", f"chest_xray/__MACOSX/{folder}/._{last}": b"junk"}
        twice |= {f"chest_xray/{name}": content, name: content}
    project.build("kermany", twice)
    assert {path: path.read_bytes() for path in project.outputs()} == before


def test_the_counts_of_a_cohort_stand_in_the_metrics(project, cohort):
    project.build("nih", cohort())
    assert project.counts() == {
        "images": 6,
        "patients": 6,
        "boxes": 1,
        "findings": [{"finding": "Mass", "images": 6}],
        "official_split": {"test": 1},
        "withdrawn": {"patients": 0, "images": 0, "patients_without_images": 0, "same_files_of_others": 0},
        "missing": {"images": 0, "first": None},
        "unlisted": {"images": 0, "first": None},
        "duplicates": {"images": 0, "groups": 0, "of_several_patients": 0, "first": None},
    }


def test_dvc_finds_the_bars_of_its_plot_among_the_counts(project, cohort):
    project.build("nih", cohort())
    assert get_datapoints(json.loads(catalog.counts_path("films").read_text())) == [
        {"finding": "Mass", "images": 6}
    ]


def test_an_archive_of_folders_has_a_catalog_with_the_same_columns(project):
    files = {f"a/train/PNEUMONIA/person{n}_virus_1.jpeg": b"x" for n in range(3)} | {
        "a/test/NORMAL/IM-1-1.jpeg": b"x"
    }
    rows = project.build("kermany", files)
    assert rows.columns.tolist() == catalog.SCHEMA.names
    assert rows["member"].tolist() == list(files)
    assert np.isnan(rows["age"]).all()
    assert rows[["sex", "view"]].isna().all(axis=None)
    assert rows["boxes"].map(len).sum() == 0
    assert catalog.read("films")[1] == (("Pneumonia",), "Normal")
    assert project.counts()["findings"] == [
        {"finding": "Normal", "images": 1},
        {"finding": "Pneumonia", "images": 3},
    ]
    assert project.counts()["official_split"] == {"test": 1, "train": 3}


# --- what no cohort's rows may say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ((_name(1), "Mass", 1, 50), f"image {_name(1)} is listed twice", "one row an image"),
        (
            (_name(2), "Mass|Infiltrate|Lump", 2, 50),
            "the tables have the unknown finding(s) 'Infiltrate', 'Lump'",
            "Infiltration, Mass, ",
        ),
        ((_name(2), "", 2, 50), "the tables have the unknown finding(s) ''", "Pneumothorax, No Finding"),
        (
            (_name(2), "No Finding|Mass", 2, 50),
            f"image {_name(2)} has 'No Finding' beside 'Mass'",
            "one finding or several, or 'No Finding' alone",
        ),
    ],
    ids=["an image twice", "unknown findings", "no finding named", "a finding beside its absence"],
)
def test_a_row_that_cannot_be_is_refused(line, found, expected, project, entries):
    files = {f"images/{_name(patient)}": b"x" for patient in (1, 2)}
    with pytest.raises(CatalogError) as refusal:
        project.build("nih", files | {"Data_Entry_2017.csv": entries((_name(1), "Mass", 1, 50), line)})
    assert refusal.value.found == f"sources.films: {found}"
    assert expected in refusal.value.expected
    assert "mend the table" in refusal.value.action
    assert project.outputs() == []


def test_a_box_around_an_unknown_finding_is_refused(project, cohort):
    boxes = f"{BOXES}{_name(6)},Lump,1,2,3,4\n".encode()
    with pytest.raises(CatalogError, match=r"the tables have the unknown finding\(s\) 'Lump'"):
        project.build("nih", cohort() | {"BBox_List_2017.csv": boxes})
    assert project.outputs() == []


# --- what the reader of a new cohort may get wrong ---------------------------------------------------------


@pytest.fixture
def read_as(project, monkeypatch):
    """`read_as(column=values)`: the catalog of two films whose reader gives these columns; None leaves one out."""

    def build(**columns):
        rows = {"image_id": ["a.png", "b.png"], "patient_id": ["1", "2"], "findings": [["Pneumonia"], ["Normal"]]}
        given = {name: values for name, values in (rows | columns).items() if values is not None}
        monkeypatch.setattr(
            kermany,
            "tables",
            lambda archive, _: Tables(pd.DataFrame(given), images_by_name(archive, (".png",), str)),
        )
        return project.build("kermany", {"a.png": b"a", "b.png": b"b"})

    return build


def test_a_reader_need_not_give_what_its_cohort_does_not_have(read_as):
    rows = read_as(age=[1.5, None])
    assert rows["member"].tolist() == ["a.png", "b.png"]
    assert rows["age"].fillna(-1).tolist() == [1.5, -1]
    assert rows[["sex", "view", "official_split"]].isna().all(axis=None)
    assert rows["boxes"].map(len).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["VOCABULARY"], "no VOCABULARY"),
        (["tables"], "no tables"),
        (["VOCABULARY", "tables"], "no VOCABULARY and no tables"),
    ],
)
def test_a_module_without_words_or_without_a_reader_is_no_cohort(names, said, project, cohort, monkeypatch):
    for name in names:
        monkeypatch.delattr(kermany, name)
    with pytest.raises(CatalogError) as refusal:
        project.build("kermany", cohort())
    assert refusal.value.found == f"sources.films: src/glassbox/cohorts/kermany.py has {said}"
    assert "docs/own_archive.md" in refusal.value.action
    assert project.outputs() == []


@pytest.mark.parametrize(
    ("columns", "found", "action"),
    [
        ({"patient_id": None}, "the cohort's reader leaves out a column 'patient_id'", "correct `tables`"),
        ({"gender": ["F", "M"]}, "the cohort's reader makes a column 'gender'", "correct `tables`"),
        ({"patient_id": ["1", None]}, "image b.png has no patient", "without patients no split can be trusted"),
        ({"patient_id": ["", "2"]}, "image a.png has no patient", "without patients no split can be trusted"),
        ({"findings": [[], ["Normal"]]}, "image a.png has neither a finding nor their absence", "mend the table"),
        (
            {"patient_id": [1, 2]},
            "Expected a string or bytes dtype, got int64; Conversion failed for column patient_id",
            "src/glassbox/cohorts/kermany.py",
        ),
    ],
)
def test_what_a_reader_gets_wrong_is_refused_and_nothing_is_written(columns, found, action, read_as, project):
    with pytest.raises(CatalogError) as refusal:
        read_as(**columns)
    assert refusal.value.found.startswith(f"sources.films: {found}")
    assert action in refusal.value.action
    assert project.outputs() == []


# --- what is listed and not there, and the reverse ---------------------------------------------------------


_DIFFERENCES = {
    "missing": ({"there": [1, 4]}, 6, [2, 3, 5, 6], "listed but not in the archive"),
    "unlisted": (
        {"listed": [1, 4], "there": [1, 2, 3, 4, 5, 6]},
        6,
        [2, 3, 5, 6],
        "in the archive but not listed",
    ),
}


@pytest.mark.parametrize("what", _DIFFERENCES)
def test_images_beyond_the_share_are_refused_and_nothing_is_written(what, project, cohort):
    changes, among, images, where = _DIFFERENCES[what]
    with pytest.raises(CatalogError) as refusal:
        project.build("nih", cohort(**changes), **{f"{what}_share": 0.5})
    assert refusal.value.found == (
        f"sources.films: {len(images)} of {among} images are {where}: "
        f"{', '.join(_name(patient) for patient in images[:3])} ..."
    )
    assert refusal.value.expected == f"at most {what}_share: 0.5 of them (3)"
    assert f"set sources.films.{what}_share to at least 0.6667" in refusal.value.action
    assert project.outputs() == []


@pytest.mark.parametrize("what", _DIFFERENCES)
def test_images_within_the_share_are_left_out_counted_and_named(what, project, cohort):
    changes, _, images, _ = _DIFFERENCES[what]
    rows = project.build("nih", cohort(**changes), **{f"{what}_share": 0.6667})
    assert rows["patient_id"].tolist() == ["1", "4"]
    other = "unlisted" if what == "missing" else "missing"
    assert project.counts()[what] == {"images": 4, "first": [_name(patient) for patient in images]}
    assert project.counts()[other] == {"images": 0, "first": None}
    assert project.counts()["images"] == 2


@pytest.mark.parametrize(("missing", "among"), [(1, 3), (29, 100), (1, 7), (57, 100)])
def test_the_share_that_a_refusal_names_is_enough(missing, among, project, cohort):
    files = cohort(listed=range(1, among + 1), there=range(missing + 1, among + 1))
    with pytest.raises(CatalogError) as refusal:
        project.build("nih", files)
    named = float(refusal.value.action.rsplit(" ", 1)[1])
    assert len(project.build("nih", files, missing_share=named)) == among - missing


def test_ten_of_many_missing_images_are_named(project, cohort):
    project.build("nih", cohort(listed=range(1, 41), there=range(31, 41)), missing_share=0.75)
    assert project.counts()["missing"] == {"images": 30, "first": [_name(patient) for patient in range(1, 11)]}


def test_an_archive_with_no_image_at_all_is_refused(project, cohort):
    with pytest.raises(CatalogError, match="the archive has no image of its table") as refusal:
        project.build("nih", cohort(there=[]), missing_share=1.0)
    assert refusal.value.expected == "images in the nih layout"
    with pytest.raises(CatalogError, match="the archive has no image of its table"):
        project.build("kermany", {"readme.txt": b"nothing here"})
    assert project.outputs() == []


def test_an_archive_in_another_layout_is_refused(project, cohort):
    with pytest.raises(CatalogError, match="check the source's layout"):
        project.build("kermany", cohort())
    with pytest.raises(CatalogError, match="check the source's layout"):
        project.build("nih", {"train/NORMAL/IM-0001-0001.jpeg": b"x"})
    assert project.outputs() == []


def test_a_refusal_leaves_the_catalog_of_before(project, cohort):
    project.build("nih", cohort())
    before = {path: path.read_bytes() for path in project.outputs()}
    with pytest.raises(CatalogError):
        project.build("nih", cohort(there=[1]))
    assert {path: path.read_bytes() for path in project.outputs()} == before
    assert catalog.counts_path("films") in before


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_without_a_whole_index_of_the_members_nothing_is_written(damage, project, cohort):
    project.build("nih", cohort())
    before = {path: path.read_bytes() for path in project.outputs()}
    index = members.path("films")
    content = index.read_bytes()
    index.unlink()
    if damage == "cut":
        index.write_bytes(content[:-1])
    source = ArchiveSource(kind="archive", path="x.zip", sha256="0" * 64, layout="nih")
    with pytest.raises(ArtifactError, match=r"films\.members\.parquet .*\n.*download@films"):
        build(source, "films")
    assert {path: path.read_bytes() for path in project.outputs()} == before


# --- identical files ---------------------------------------------------------------------------------------

SICK, WELL = "train/PNEUMONIA", "test/NORMAL"


def test_files_whose_size_and_crc_agree_by_chance_are_no_duplicates(project):
    # Two of the shortest texts with one CRC-32.
    project.build("kermany", {f"{WELL}/IM-1-1.jpeg": b"plumless", f"{WELL}/IM-2-1.jpeg": b"buckeroo"})
    one, other = members.read("films")[0]
    assert (one.size, one.crc) == (other.size, other.crc)
    assert project.counts()["duplicates"]["groups"] == 0


def test_duplicates_stand_in_the_metrics_with_their_images_and_how_many_groups_cross_patients(project):
    project.build(
        "kermany",
        {
            f"{SICK}/person1_virus_2.jpeg": b"one",
            f"{SICK}/person2_virus_3.jpeg": b"two",
            f"{SICK}/person1_virus_1.jpeg": b"one",
            f"{WELL}/IM-0002-0001.jpeg": b"three",
            f"{WELL}/IM-0001-0001.jpeg": b"two",
        },
    )
    assert project.counts()["duplicates"] == {
        "images": 4,
        "groups": 2,
        "of_several_patients": 1,
        "first": [
            [f"{SICK}/person1_virus_2.jpeg", f"{SICK}/person1_virus_1.jpeg"],
            [f"{SICK}/person2_virus_3.jpeg", f"{WELL}/IM-0001-0001.jpeg"],
        ],
    }


def test_a_second_copy_of_the_tree_makes_no_duplicates(project):
    image = f"{SICK}/person1_virus_6.jpeg"
    project.build("kermany", {f"chest_xray/{image}": b"x", f"chest_xray/chest_xray/{image}": b"x"})
    assert project.counts()["duplicates"] == {
        "images": 0,
        "groups": 0,
        "of_several_patients": 0,
        "first": None,
    }


@pytest.mark.parametrize("groups", [10, 12])
def test_ten_groups_at_most_are_named(groups, project):
    files = {
        f"{SICK}/person{number}_virus_{film}.jpeg": b"%d" % number for number in range(groups) for film in (1, 2)
    }
    project.build("kermany", files)
    counts = project.counts()["duplicates"]
    assert (counts["images"], counts["groups"], len(counts["first"])) == (2 * groups, groups, 10)
    assert counts["first"][-1] == [f"{SICK}/person9_virus_{film}.jpeg" for film in (1, 2)]


# --- withdrawn patients ------------------------------------------------------------------------------------


def _rebuilt(withdrawn, **shares):
    source = ArchiveSource(kind="archive", path="x.zip", sha256="0" * 64, layout="nih", **shares)
    build(source, "films", withdrawn)
    return catalog.read("films")[0]


def test_a_withdrawn_patient_is_left_out_and_counted_without_a_name(project, cohort):
    project.build("nih", cohort())
    rows = _rebuilt(["2", "5"])
    assert rows["patient_id"].tolist() == ["1", "3", "4", "6"]
    counts = project.counts()
    assert counts["withdrawn"] == {
        "patients": 2,
        "images": 2,
        "patients_without_images": 0,
        "same_files_of_others": 0,
    }
    assert (counts["images"], counts["patients"], counts["findings"]) == (4, 4, [{"finding": "Mass", "images": 4}])
    text = catalog.counts_path("films").read_text()
    assert _name(2) not in text
    assert _name(5) not in text


def test_an_archive_that_never_held_them_has_the_same_catalog_and_need_not_know_them(project, cohort):
    project.build("nih", cohort())
    _rebuilt(["2", "5"])
    withdrawn = {path: path.read_bytes() for path in project.outputs()}
    counts = project.counts()
    project.build("nih", cohort(listed=[1, 3, 4, 6]))
    assert catalog.path("films").read_bytes() == withdrawn[catalog.path("films")]
    _rebuilt(["2", "5"])
    assert catalog.path("films").read_bytes() == withdrawn[catalog.path("films")]
    nobody = {"patients": 0, "images": 0, "patients_without_images": 2, "same_files_of_others": 0}
    assert project.counts() == counts | {"withdrawn": nobody}


def test_a_withdrawn_image_is_neither_missing_nor_unlisted_nor_counted_among_what_may_be(project, cohort):
    """Of six images listed 5 and 6 are not there, and of five there 7 is not listed."""
    shares = {"missing_share": 0.34, "unlisted_share": 0.2}
    project.build("nih", cohort(there=[1, 2, 3, 4, 7]), **shares)
    _rebuilt(["5"], **shares | {"missing_share": 0.2})
    counts = project.counts()
    assert counts["missing"] == {"images": 1, "first": [_name(6)]}
    assert counts["unlisted"] == {"images": 1, "first": [_name(7)]}
    assert counts["withdrawn"]["patients_without_images"] == 1
    with pytest.raises(CatalogError, match="2 of 5 images are listed but not in the archive"):
        _rebuilt(["1"], **shares)
    with pytest.raises(CatalogError, match="1 of 4 images are in the archive but not listed"):
        _rebuilt(["1"], **shares | {"missing_share": 0.4})


def test_films_of_others_that_are_the_same_file_as_a_withdrawn_one_stay_and_are_counted(project, cohort):
    files = cohort()
    for patient in (3, 4):
        files[f"images/{_name(patient)}"] = files[f"images/{_name(2)}"]
    project.build("nih", files)
    assert project.counts()["duplicates"]["images"] == 3
    _rebuilt(["2"])
    assert project.counts()["withdrawn"]["same_files_of_others"] == 2
    assert project.counts()["duplicates"]["images"] == 2
