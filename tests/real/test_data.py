import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest

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
