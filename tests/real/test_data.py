import zipfile

import cv2
import numpy as np
import pytest

from glassbox.artifacts import archive, shards

pytestmark = pytest.mark.real

PNEUMONIA = ("chest-xray-pneumonia-224px.zip", "kermany", 32)
FULL_SIZE = ("nih-1024px-24.zip", "nih", 64)
SMALL = ("nih-64px.zip", "nih", 32)


def _pixels(index):
    """All images of the dataset in the working directory, each compared with its digest."""
    images = shards.Images("small")
    return images.gather(images.positions(index["image_id"].tolist(), index["pixels_sha256"].tolist()))


@pytest.mark.parametrize(
    ("zip_", "images", "members"), [(PNEUMONIA, 1987, 1987), (FULL_SIZE, 24, 28), (SMALL, 550, 554)]
)
def test_every_image_of_an_archive_is_catalogued_and_stored(zip_, images, members, cohort):
    made = cohort(*zip_)
    assert made.source["members"] == members
    assert made.counts["images"] == images
    assert made.counts["missing"]["images"] == made.counts["unlisted"]["images"] == 0
    assert shards.read_rejected("small") == []
    assert made.index["image_id"].tolist() == made.catalog["image_id"].tolist()
    pixels = _pixels(made.index)
    assert pixels.shape == (images, zip_[2], zip_[2])
    # Films, not blank paper: each has dark and bright parts.
    assert pixels.std(axis=(1, 2)).min() > 5


def test_the_pneumonia_set_has_its_folds_and_no_patient_in_two(cohort):
    made = cohort(*PNEUMONIA)
    assert made.counts["official_split"] == {"test": 186, "train": 1801}
    rows = made.catalog
    assert rows.groupby("patient_id")["official_split"].nunique().max() == 1
    # Without the subtype, numbers would seem to cross the folds.
    sick = rows[rows["patient_id"].str.contains("bacteria|virus")]
    numbers = sick.groupby(sick["patient_id"].str.split("-").str[1])["official_split"].nunique()
    assert (numbers > 1).any()
    assert {row["finding"] for row in made.counts["findings"]} == {"Normal", "Pneumonia"}
    assert set(made.index[["width", "height", "channels"]].itertuples(index=False, name=None)) == {(224, 224, 3)}


def test_the_full_size_films_are_those_of_eight_patients_and_one_has_four_channels(cohort):
    made = cohort(*FULL_SIZE)
    assert made.counts["patients"] == 8
    assert made.counts["official_split"] == {"test": 8, "train_val": 16}
    index = made.index.set_index("image_id")
    assert set(index["width"]) == set(index["height"]) == {1024}
    assert index.index[index["channels"] == 4].tolist() == ["00000004_000.png"]
    assert (index["channels"].drop("00000004_000.png") == 1).all()


def test_the_stored_pixels_of_full_size_films_are_the_means_of_their_blocks(cohort):
    made = cohort(*FULL_SIZE)
    with zipfile.ZipFile(archive.path("films")) as members:
        for image, member, found in zip(
            made.catalog["image_id"], made.catalog["member"], _pixels(made.index), strict=True
        ):
            full = cv2.imdecode(np.frombuffer(members.read(member), np.uint8), cv2.IMREAD_UNCHANGED)
            if full.ndim == 3:
                assert (full[..., 0] == full[..., 1]).all()
                full = full[..., 0]
            means = full.reshape(64, 16, 64, 16).mean(axis=(1, 3))
            assert np.abs(found - means).max() <= 1, image


def test_the_small_films_have_the_findings_that_their_description_counts(cohort):
    made = cohort(*SMALL)
    found = {row["finding"]: row["images"] for row in made.counts["findings"]}
    assert found["No Finding"] == 270
    assert found["Infiltration"] == 97
    assert set(made.index["channels"]) == {3, 4}
