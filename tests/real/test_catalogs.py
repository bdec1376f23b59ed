"""Catalogs of the whole cohorts, from real tables and names, in zips as Kaggle packs them."""

import csv
import gzip
import hashlib
import io
import zipfile
from collections import Counter
from types import SimpleNamespace

import pytest

from glassbox.archives import zip as zips
from glassbox.artifacts import archive, catalog, document, members
from glassbox.artifacts.members import Member
from glassbox.catalogs.build import build
from glassbox.params.sources import ArchiveSource

pytestmark = pytest.mark.real


def _catalog(layout, files, images=()):
    """The catalog of an archive and its counts, built in the working directory.

    Args:
        layout: In which cohort's.
        files: Its files.
        images: Members that its index lists besides; no catalog opens an image.
    """
    place = archive.path("films")
    place.parent.mkdir(parents=True)
    with zipfile.ZipFile(place, "w") as films:
        for name, content in files.items():
            films.writestr(name, content)
    members.write("films", [*images, *zips.verify(place, zips.members(place), label=layout)], "0" * 64)
    build(ArchiveSource(kind="archive", layout=layout, path="x.zip", sha256="0" * 64), "films")
    return SimpleNamespace(
        rows=catalog.read("films")[0],
        bytes=catalog.path("films").read_bytes(),
        counts=document.read(catalog.counts_path("films"), "catalog@films"),
    )


# --- NIH ---------------------------------------------------------------------------------------------------


def _as_on_kaggle(table):
    """The table with a comma at the end of every line, and ages like 058Y."""
    header, *lines = csv.reader(io.StringIO(table))
    age = header.index("Patient Age")
    text = io.StringIO()
    for line in lines:
        line[age] = f"{int(line[age]):03d}Y"
    csv.writer(text, lineterminator="\n").writerows(
        [*header, ""] if line is header else [*line, ""] for line in [header, *lines]
    )
    return text.getvalue()


@pytest.fixture(scope="module")
def catalogs(data, tmp_path_factory):
    """The catalogs of all of NIH, no image of which is another's file: of the table as it is, and as on Kaggle."""
    metadata = data / "nih-metadata"
    table = gzip.decompress((metadata / "Data_Entry_2017.csv.gz").read_bytes()).decode()
    lists = ("BBox_List_2017.csv", "train_val_list.txt", "test_list.txt")
    tables = {name: (metadata / name).read_bytes() for name in lists}
    names = [line.partition(",")[0] for line in table.splitlines()[1:]]
    images = [
        Member(f"images_{1 + (at + 5001) // 10_000:03d}/images/{name}", at - len(names), 1, 1, 0, 0, f"{at:064x}")
        for at, name in enumerate(names)
    ]
    made = {}
    for name, text in {"published": table, "kaggle": _as_on_kaggle(table)}.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp(name))
            made[name] = _catalog("nih", tables | {"Data_Entry_2017.csv": text.encode()}, images)
    return made


@pytest.fixture(scope="module")
def nih(catalogs):
    return catalogs["published"].rows


def test_the_whole_table_of_nih_has_its_published_counts(nih):
    assert len(nih) == 112_120
    assert nih["patient_id"].nunique() == 30_805
    counts = Counter(finding for findings in nih["findings"] for finding in findings)
    assert counts == {
        "No Finding": 60_361,
        "Infiltration": 19_894,
        "Effusion": 13_317,
        "Atelectasis": 11_559,
        "Nodule": 6_331,
        "Mass": 5_782,
        "Pneumothorax": 5_302,
        "Consolidation": 4_667,
        "Pleural_Thickening": 3_385,
        "Cardiomegaly": 2_776,
        "Emphysema": 2_516,
        "Edema": 2_303,
        "Fibrosis": 1_686,
        "Pneumonia": 1_431,
        "Hernia": 227,
    }


def test_the_official_lists_of_nih_hold_every_image_and_share_no_patient(nih):
    assert nih["official_split"].value_counts().to_dict() == {"train_val": 86_524, "test": 25_596}
    assert nih.groupby("patient_id")["official_split"].nunique().max() == 1


def test_the_boxes_of_nih_lie_on_films_of_the_test_list_and_bear_the_findings_names(nih):
    boxed = nih[nih["boxes"].map(len) > 0]
    assert len(boxed) == 880
    assert boxed["boxes"].map(len).sum() == 984
    assert set(boxed["official_split"]) == {"test"}
    boxes = [box for row in boxed["boxes"] for box in row]
    assert {box["finding"] for box in boxes} == {
        *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax")
    }
    for box in boxes:
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 1024
        assert 0 <= box["y"] <= box["y"] + box["height"] <= 1024


def test_patients_sexes_and_views_of_nih_are_complete(nih):
    assert (nih["image_id"].str[:8].astype(int).astype(str) == nih["patient_id"]).all()
    assert set(nih["sex"]) == {"F", "M"}
    assert set(nih["view"]) == {"AP", "PA"}
    assert nih["age"].notna().all()


def test_the_table_as_on_kaggle_gives_the_same_catalog(catalogs):
    assert _as_on_kaggle("a,Patient Age,b\n1,58,2\n") == "a,Patient Age,b,\n1,058Y,2,\n"
    assert catalogs["kaggle"].bytes == catalogs["published"].bytes
    assert catalogs["kaggle"].counts == catalogs["published"].counts


def test_no_image_of_nih_is_missing_unlisted_or_there_twice(catalogs):
    counts = catalogs["published"].counts
    assert (counts["images"], counts["patients"], counts["boxes"]) == (112_120, 30_805, 984)
    for what in ("missing", "unlisted", "duplicates"):
        assert counts[what]["images"] == 0


# --- the pneumonia set -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pneumonia(data, tmp_path_factory):
    """The catalogs of the pneumonia set: of its zip as it is, and packed as on Kaggle; and its files' hashes."""
    with zipfile.ZipFile(data / "chest-xray-pneumonia-224px.zip") as films:
        files = {name: films.read(name) for name in films.namelist() if not name.endswith("/")}
    packed = {"chest_xray/.DS_Store": b"junk"}
    for name, content in files.items():
        folder, _, last = name.rpartition("/")
        packed[f"chest_xray/__MACOSX/{folder}/._{last}"] = b"junk"
        packed[f"chest_xray/{name}"] = packed[name] = content
    made = {}
    for name, contents in {"plain": files, "kaggle": packed}.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp(name))
            made[name] = _catalog("kermany", contents)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return SimpleNamespace(**made, hashes=hashes)


def test_the_pneumonia_set_as_on_kaggle_has_the_catalog_of_its_plain_zip(pneumonia):
    assert len(pneumonia.plain.rows) == 1987
    assert pneumonia.kaggle.bytes == pneumonia.plain.bytes
    assert pneumonia.kaggle.counts == pneumonia.plain.counts
    assert (pneumonia.plain.rows["member"] == "chest_xray/" + pneumonia.plain.rows["image_id"]).all()


def test_names_of_the_pneumonia_set_with_a_fourth_field_are_films_of_their_patients(pneumonia):
    rows = pneumonia.plain.rows
    names = r"/(?:person|NORMAL2-IM-|IM-)(\d+)(?:_bacteria|_virus)?[-_]\d+[-_]\d+\.jpeg$"
    numbers = rows["image_id"].str.extract(names, expand=False).dropna()
    assert len(numbers) == 61
    assert (rows.loc[numbers.index, "patient_id"].str.rpartition("-")[2] == numbers.astype(int).astype(str)).all()


def test_the_identical_files_of_the_pneumonia_set_are_found_and_counted(pneumonia):
    by_hash = {}
    for row in pneumonia.plain.rows.itertuples():
        by_hash.setdefault(pneumonia.hashes[row.member], []).append((row.image_id, row.patient_id))
    groups = [group for group in by_hash.values() if len(group) > 1]
    assert groups
    assert pneumonia.plain.counts["duplicates"] == {
        "images": sum(map(len, groups)),
        "groups": len(groups),
        "of_several_patients": sum(len({patient for _, patient in group}) > 1 for group in groups),
        "first": [[image for image, _ in group] for group in groups[:10]],
    }
