import gzip
import zipfile
from collections import Counter

import cv2
import numpy as np
import pandas as pd
import pytest

from glassbox import layout, params
from glassbox.cohorts import build, catalog
from glassbox.shards.read import Images

pytestmark = pytest.mark.real

PNEUMONIA = ("chest-xray-pneumonia-224px.zip", "kermany", 32)
FULL_SIZE = ("nih-1024px-24.zip", "nih", 64)
SMALL = ("nih-64px.zip", "nih", 32)


@pytest.mark.parametrize(
    ("zip_", "images", "members"), [(PNEUMONIA, 1987, 1987), (FULL_SIZE, 24, 28), (SMALL, 550, 554)]
)
def test_every_image_of_an_archive_is_catalogued_and_stored(zip_, images, members, cohort):
    made = cohort(*zip_)
    assert made.source["members"] == members
    assert made.counts["images"] == images
    assert made.counts["missing"]["images"] == made.counts["unlisted"]["images"] == 0
    assert len(pd.read_parquet(made.shards / "rejected.parquet")) == 0
    index = pd.read_parquet(made.shards / "index.parquet")
    assert index["image_id"].tolist() == pd.read_parquet(made.catalog)["image_id"].tolist()
    stored = Images(made.shards)
    pixels = stored.gather(stored.positions(index["image_id"].tolist()))
    assert pixels.shape == (images, zip_[2], zip_[2])
    # Films, not blank paper: each has dark and bright parts.
    assert pixels.std(axis=(1, 2)).min() > 5


def test_the_pneumonia_set_has_its_folds_and_no_patient_in_two(cohort):
    made = cohort(*PNEUMONIA)
    assert made.counts["official_split"] == {"test": 186, "train": 1801}
    rows = pd.read_parquet(made.catalog)
    assert rows.groupby("patient_id")["official_split"].nunique().max() == 1
    # Without the subtype, numbers would seem to cross the folds.
    sick = rows[rows["patient_id"].str.contains("bacteria|virus")]
    numbers = sick.groupby(sick["patient_id"].str.split("-").str[1])["official_split"].nunique()
    assert (numbers > 1).any()
    assert {row["finding"] for row in made.counts["findings"]} == {"Normal", "Pneumonia"}
    index = pd.read_parquet(made.shards / "index.parquet")
    assert set(zip(index["width"], index["height"], index["channels"], strict=True)) == {(224, 224, 3)}


def test_the_full_size_films_are_those_of_eight_patients_and_one_has_four_channels(cohort):
    made = cohort(*FULL_SIZE)
    assert made.counts["patients"] == 8
    assert made.counts["official_split"] == {"test": 8, "train_val": 16}
    index = pd.read_parquet(made.shards / "index.parquet").set_index("image_id")
    assert set(index["width"]) == set(index["height"]) == {1024}
    assert index.index[index["channels"] == 4].tolist() == ["00000004_000.png"]
    assert (index["channels"].drop("00000004_000.png") == 1).all()


def test_the_stored_pixels_of_full_size_films_are_the_means_of_their_blocks(cohort):
    made = cohort(*FULL_SIZE)
    rows = pd.read_parquet(made.catalog)
    stored = Images(made.shards)
    with zipfile.ZipFile(made.archive) as members:
        for image, member in zip(rows["image_id"], rows["member"], strict=True):
            full = cv2.imdecode(np.frombuffer(members.read(member), np.uint8), cv2.IMREAD_UNCHANGED)
            if full.ndim == 3:
                assert (full[..., 0] == full[..., 1]).all()
                full = full[..., 0]
            means = full.reshape(64, 16, 64, 16).mean(axis=(1, 3))
            (found,) = stored.gather(stored.positions([image]))
            assert np.abs(found - means).max() <= 1, image


def test_the_small_films_have_the_findings_that_their_description_counts(cohort):
    counts = cohort(*SMALL).counts
    found = {row["finding"]: row["images"] for row in counts["findings"]}
    assert found["No Finding"] == 270
    assert found["Infiltration"] == 97
    index = pd.read_parquet(cohort(*SMALL).shards / "index.parquet")
    assert set(index["channels"]) == {3, 4}


# --- the whole table of NIH --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nih(data, tmp_path_factory):
    """The catalog of all of NIH, its images without content, as Kaggle packs them."""
    metadata = data / "nih-metadata"
    entries = gzip.decompress((metadata / "Data_Entry_2017.csv.gz").read_bytes()).decode()
    header, *lines = entries.splitlines()
    folder = tmp_path_factory.mktemp("nih")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        path = layout.archive("nih")
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as members:
            for number, line in enumerate(lines):
                image = line.split(",", 1)[0]
                members.writestr(f"images_{1 + (number + 5001) // 10_000:03d}/images/{image}", b"")
            members.writestr("Data_Entry_2017.csv", "\n".join([header, *(f"{line}," for line in lines)]))
            for name in ("BBox_List_2017.csv", "train_val_list.txt", "test_list.txt"):
                members.write(metadata / name, name)
        source = {"kind": "archive", "path": "x.zip", "sha256": "0" * 64}
        empty = {name: {} for name in ("datasets", "splits", "weights", "experiments")}
        build.build(params.parse({"profile": "test", "sources": {"nih": source}} | empty, "params.yaml"), "nih")
        return catalog.read("nih")


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
