import json
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox import layout
from glassbox.cohorts import nih
from glassbox.errors import SplitError
from glassbox.selection import histogram, split

REJECTED = ("00000001_000.png", "00000002_000.png")


@pytest.fixture(scope="module")
def once(make, tmp_path_factory):
    """A cohort of 60 patients whose split was built: its folder, its catalog, and its pixels by image."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = make.cohort(patients=60)
        pixels = make.write(rows, REJECTED)
        split.build(make.parameters(balance="largest"), "asked")
    return folder, rows, pixels


@pytest.fixture
def built(once, tmp_path, monkeypatch):
    """A copy of it, in which the test runs: its catalog, its pixels by image, and its split."""
    folder, rows, pixels = once
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "project"))
    return rows, pixels, split.read("asked")


def outputs(make):
    return make.contents(layout.split("asked"), layout.METRICS / "splits" / "asked")


def test_a_split_is_two_files_and_three_more_to_look_at(built, make):
    assert [path.rpartition("/")[2] for path in outputs(make)] == [
        "split.parquet",
        "statistics.json",
        "labels.csv",
        "labels.png",
        "leakage.json",
    ]


def test_its_columns_and_their_types_are_promised(built):
    schema = pq.read_schema(layout.split("asked") / "split.parquet")
    assert schema.metadata is None, "pandas' and its version are no part of a split"
    assert schema == pa.schema(
        [
            ("image_id", pa.string()),
            ("patient_id", pa.string()),
            ("label_No Finding", pa.uint8()),
            ("label_Infiltration", pa.uint8()),
            ("fold", pa.string()),
            ("draws", pa.int32()),
        ]
    )


def test_a_split_is_the_same_bytes_twice(built, make):
    once = outputs(make)
    split.build(make.parameters(balance="largest"), "asked")
    assert outputs(make) == once


def test_it_has_each_labelled_image_that_could_be_read_once_in_the_catalogs_order(built):
    rows, _, made = built
    wanted = rows["findings"].map(lambda found: "Infiltration" in found or "No Finding" in found)
    assert rows.loc[wanted, "image_id"].isin(REJECTED).any(), "a rejected image should have been labelled"
    expected = [image for image in rows.loc[wanted, "image_id"] if image not in REJECTED]
    assert made["image_id"].tolist() == expected


def test_labels_and_patients_are_the_catalogs(built):
    rows, _, made = built
    both = made.merge(rows, on="image_id", suffixes=("", "_listed"))
    assert (both["patient_id"] == both["patient_id_listed"]).all()
    infiltrated = both["findings"].map(lambda found: "Infiltration" in found)
    assert (both["label_Infiltration"] == infiltrated).all()
    assert (both["label_No Finding"] == ~infiltrated).all()


def test_only_the_training_fold_is_balanced(built):
    *_, made = built
    train = made["fold"] == "train"
    assert (made.loc[~train, "draws"] == 1).all()
    assert made.loc[train & (made["label_Infiltration"] == 1), "draws"].max() > 1
    shown = made[train].groupby("label_Infiltration")["draws"].sum()
    assert shown[0] == shown[1] == (train & (made["label_Infiltration"] == 0)).sum()


def test_statistics_are_those_of_the_training_folds_pixels(built):
    _, pixels, made = built
    train = np.array([pixels[image] for image in made.loc[made["fold"] == "train", "image_id"]])
    statistics = json.loads((layout.split("asked") / "statistics.json").read_text())
    assert statistics == {
        "dataset": "films_16",
        "images": len(train),
        "mean": pytest.approx(train.mean(), rel=1e-9),
        "std": pytest.approx(train.std(), rel=1e-9),
    }


def test_our_split_leaks_nothing(built):
    leaks = json.loads((layout.METRICS / "splits/asked/leakage.json").read_text())
    assert {row["what"] for row in leaks} == {"patients", "images", "identical_files"}
    assert [row["shared"] for row in leaks] == [0] * 9


def test_a_file_that_lies_in_two_folds_under_two_names_is_counted(built, make):
    *_, made = built
    one, other = (made.loc[made["fold"] == fold, "image_id"].iloc[0] for fold in ("train", "test"))
    path = layout.shards("films_16") / "index.parquet"
    index = pd.read_parquet(path).set_index("image_id")
    index.loc[one, "source_sha256"] = index.loc[other, "source_sha256"]
    index.reset_index().to_parquet(path)
    split.build(make.parameters(balance="largest"), "asked")
    leaks = json.loads((layout.METRICS / "splits/asked/leakage.json").read_text())
    assert [row for row in leaks if row["shared"]] == [
        {"folds": "train-test", "what": "identical_files", "shared": 1}
    ]


def test_the_label_histogram_adds_up_to_the_split(built):
    *_, made = built
    counts = pd.read_csv(layout.METRICS / "splits/asked/labels.csv")
    pd.testing.assert_frame_equal(counts, histogram.table(made))
    assert counts[["fold", "class"]].to_numpy().tolist() == [
        [fold, name] for fold in ("train", "validation", "test") for name in ("No Finding", "Infiltration")
    ]
    assert counts["images"].sum() == len(made)
    assert counts["draws"].sum() == made["draws"].sum()
    for row in counts.itertuples():
        own = made[(made["fold"] == row.fold) & (made[f"label_{row[2]}"] == 1)]
        assert (row.patients, row.images, row.draws) == (
            own["patient_id"].nunique(),
            len(own),
            own["draws"].sum(),
        )


def test_a_sample_has_the_number_of_images_and_the_share_of_each_class(make, project, films):
    rows = films.copy()
    everything = split.select(rows, make.settings(), nih.VOCABULARY, "splits.x")
    sampled = split.select(rows, make.settings(sample=300), nih.VOCABULARY, "splits.x")
    assert len(sampled) == 300
    assert sampled["image_id"].is_unique
    assert set(sampled["image_id"]) < set(everything["image_id"])
    shares = [frame["label_Infiltration"].mean() for frame in (everything, sampled)]
    assert shares[0] == pytest.approx(shares[1], abs=1 / 300)
    in_order = everything["image_id"][everything["image_id"].isin(sampled["image_id"])]
    assert sampled["image_id"].tolist() == in_order.tolist()


def test_a_sample_of_all_images_is_all_of_them(make, films):
    everything = split.select(films, make.settings(), nih.VOCABULARY, "splits.x")
    sampled = split.select(films, make.settings(sample=len(everything)), nih.VOCABULARY, "splits.x")
    pd.testing.assert_frame_equal(sampled, everything)


def test_another_seed_samples_other_images(make, films):
    one, again, other = (
        set(split.select(films, make.settings(sample=300, seed=seed), nih.VOCABULARY, "splits.x")["image_id"])
        for seed in (5, 5, 6)
    )
    assert one == again != other


# --- refusals ----------------------------------------------------------------------------------------------


HALVES = ["No Finding", "Infiltration"] * 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": {"positive": "Infiltrate"}},
            (
                "splits.asked.labels: unknown label 'Infiltrate'",
                "one of Atelectasis, ",
                "correct splits.asked.labels",
            ),
        ),
        (
            {"labels": {"positive": "Hernia"}},
            (
                "splits.asked.labels: no image of 40 is labelled 'Hernia'",
                "at least one image of each class",
                "ask another question",
            ),
        ),
        (
            {"sample": 41},
            (
                "splits.asked.sample: 41 images of 40",
                "no more than there are",
                "set splits.asked.sample to null",
            ),
        ),
        (
            {"sample": 1},
            (
                "splits.asked.sample: 1 of 40 images (20 of them positive) cannot be drawn by class",
                "two or more to draw and to leave",
                "set splits.asked.sample to another number",
            ),
        ),
        (
            {"sample": 39},
            (
                "splits.asked.sample: 39 of 40 images (20 of them positive) cannot be drawn by class",
                "two or more to draw and to leave",
                "set splits.asked.sample to another number",
            ),
        ),
        (
            {"official_test": True},
            (
                "splits.asked: 0 of 40 images are in the official test list",
                "some of them, not all",
                "set splits.asked.official_test to false",
            ),
        ),
        (
            {"validation": 0.001},
            (
                "splits.asked.validation: 32 patients (16 of them positive) are too few to draw a share of 0.001",
                "at least one patient of each class on either side",
                "use more patients or another share",
            ),
        ),
    ],
)
def test_a_refused_split_says_what_to_do_and_leaves_no_file(make, project, changes, message):
    make.write(make.table(*HALVES))
    before = sorted(project.rglob("*"))
    with pytest.raises(SplitError) as refusal:
        split.build(make.parameters(**{"official_test": False} | changes), "asked")
    for said, part in zip(refusal.value.args, message, strict=True):
        assert part in said
    assert sorted(project.rglob("*")) == before


def test_images_that_the_dataset_does_not_hold_are_refused_and_no_file_is_left(make, project):
    make.write(make.table(*HALVES))
    path = layout.shards("films_16") / "index.parquet"
    index = pd.read_parquet(path)
    index.iloc[:30].to_parquet(path)
    with pytest.raises(SplitError) as refusal:
        split.build(make.parameters(official_test=False), "asked")
    assert re.fullmatch(r"image '3\d\.png' is not in the shards", refusal.value.found)
    assert refusal.value.expected == "a split of images that the dataset holds"
    assert "dvc repro" in refusal.value.action
    assert not layout.split("asked").exists()
    assert not layout.METRICS.exists()


def test_a_refused_split_leaves_the_one_before_it_as_it_was(built, make):
    before = outputs(make)
    with pytest.raises(SplitError):
        split.build(make.parameters(labels={"positive": "Hernia"}), "asked")
    assert outputs(make) == before
