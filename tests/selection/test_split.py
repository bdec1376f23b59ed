import hashlib
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
from glassbox.selection.labels import columns

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


@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({"balance": "largest"}, "da2d85a489fdbcca"),
        ({"official_test": False, "balance": 40, "sample": 300}, "a69eb5e65804afe2"),
    ],
)
def test_a_split_of_two_classes_stays_the_one_that_models_were_trained_on(make, films, changes, digest):
    made = split.select(films, make.settings(**changes), nih.VOCABULARY, "splits.x")
    text = made[["image_id", "fold", "draws"]].to_csv(index=False, lineterminator="\n")
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


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


def test_a_sample_of_single_labels_has_the_share_of_each_class(make, ill):
    asked = {"labels": {"task": "single_label", "several": "first"}, "official_test": False}
    counts = [
        made[columns(made)].sum()
        for made in (
            split.select(ill, make.settings(**asked, sample=sample), nih.VOCABULARY, "splits.x")
            for sample in (None, 500)
        )
    ]
    assert counts[1].sum() == 500
    assert ((counts[1] - 500 * counts[0] / counts[0].sum()).abs() <= 1).all()


def test_a_sample_of_many_labels_has_the_share_of_healthy_images(make, ill):
    labels = {"task": "multi_label"}
    sampled = split.select(ill, make.settings(labels=labels, sample=500), nih.VOCABULARY, "splits.x")
    assert len(sampled) == 500
    healthy = ill["findings"].map(lambda found: found == ["No Finding"]).mean()
    assert sampled["label_No Finding"].mean() == pytest.approx(healthy, abs=1 / 500)


def test_single_labels_are_balanced_over_all_classes(make, ill):
    settings = make.settings(labels={"task": "single_label", "several": "first"}, balance=40)
    made = split.select(ill, settings, nih.VOCABULARY, "splits.x")
    train = made[made["fold"] == "train"]
    assert [(train[name] * train["draws"]).sum() for name in columns(made)] == [40] * 15


# --- published procedures ----------------------------------------------------------------------------------

MULTI = {"labels": {"task": "multi_label"}, "balance": "none"}
BY_IMAGE = {"procedure": "by_image", "official_test": False, "test": 0.2}
ROWS = {"procedure": "rows_with_replacement", "official_test": False, "test": 0.2, "rows_a_class": 100}
#: Parameters -> what is shared by train and test, and by validation and test, beside patients.
PROCEDURES = {
    "by_patient": (MULTI | {"official_test": False}, False, False),
    "by_patient, validated on test": (MULTI | {"validation": "test"}, False, True),
    "by_image": (MULTI | BY_IMAGE, False, False),
    "by_image, single labels": (BY_IMAGE | {"labels": {"task": "single_label", "several": "first"}}, False, False),
    "by_image, validated on test": (BY_IMAGE | {"validation": "test"}, False, True),
    "rows_with_replacement": (ROWS, True, True),
    "rows_with_replacement, validated on test": (ROWS | {"validation": "test"}, True, True),
    "rows_with_replacement, many labels": (ROWS | MULTI, True, True),
}


@pytest.fixture(scope="module")
def archive(make, tmp_path_factory):
    """A project with a cohort in which every finding is common."""
    folder = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make.write(make.cohort(patients=150, **dict.fromkeys(nih.VOCABULARY.findings, 0.1)), REJECTED)
    return folder


@pytest.fixture
def ask(make, archive, tmp_path, monkeypatch):
    """Builds a split of that cohort; gives its rows and its leaks."""
    monkeypatch.chdir(shutil.copytree(archive, tmp_path / "project"))

    def ask(**changes):
        split.build(make.parameters(**changes), "asked")
        leaks = json.loads((layout.METRICS / "splits/asked/leakage.json").read_text())
        return split.read("asked"), {(row["what"], row["folds"]): row["shared"] for row in leaks}

    return ask


@pytest.mark.parametrize(("changes", "on_test", "validated"), PROCEDURES.values(), ids=PROCEDURES)
def test_the_leak_of_a_procedure_is_there_and_is_counted_as_it_is(ask, changes, on_test, validated):
    made, leaks = ask(**changes)
    held = {fold: made[made["fold"] == fold] for fold in ("train", "validation", "test")}
    for what, column in (("patients", "patient_id"), ("images", "image_id"), ("identical_files", "image_id")):
        for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
            shared = set(held[one][column]) & set(held[other][column])
            assert leaks[what, f"{one}-{other}"] == len(shared)
    assert len(leaks) == 9
    assert bool(leaks["images", "train-test"]) == on_test
    assert bool(leaks["images", "validation-test"]) == validated
    clean = changes.get("procedure", "by_patient") == "by_patient"
    assert bool(leaks["patients", "train-test"]) == (not clean)
    if changes.get("validation") == "test":
        assert leaks["images", "validation-test"] == len(held["test"])


@pytest.mark.parametrize(
    "procedure", ["by_patient", "by_image, single labels", "rows_with_replacement, validated on test"]
)
def test_every_procedure_makes_the_same_bytes_twice(ask, make, procedure):
    changes, *_ = PROCEDURES[procedure]
    ask(**changes)
    once = outputs(make)
    ask(**changes)
    assert outputs(make) == once


def test_a_split_of_every_finding_has_a_column_for_each_and_the_same_types(ask):
    ask(**MULTI)
    schema = pq.read_schema(layout.split("asked") / "split.parquet")
    names = ["No Finding", *nih.VOCABULARY.findings]
    assert schema == pa.schema(
        [
            ("image_id", pa.string()),
            ("patient_id", pa.string()),
            *((f"label_{name}", pa.uint8()) for name in names),
            ("fold", pa.string()),
            ("draws", pa.int32()),
        ]
    )


def test_statistics_count_an_image_of_the_training_fold_once_however_often_it_is_drawn(ask):
    made, _ = ask(**ROWS)
    train = made[made["fold"] == "train"]
    assert train["draws"].sum() > len(train)
    assert json.loads((layout.split("asked") / "statistics.json").read_text())["images"] == len(train)


# --- refusals ----------------------------------------------------------------------------------------------


HALVES = ["No Finding", "Infiltration"] * 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": {"task": "binary", "positive": "Infiltrate"}},
            (
                "splits.asked.labels: unknown label 'Infiltrate'",
                "one of Atelectasis, ",
                "correct splits.asked.labels",
            ),
        ),
        (
            {"labels": {"task": "binary", "positive": "Hernia"}},
            (
                "splits.asked.labels: no image of 40 is labelled 'Hernia'",
                "at least one image of each class",
                "ask another question",
            ),
        ),
        (
            {"labels": {"task": "multi_label"}},
            (
                "splits.asked.labels: no image of 40 is labelled 'Atelectasis' or 'Cardiomegaly' or",
                "at least one image of each class",
                "use a source that has such images",
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
                "splits.asked.sample: 1 of 40 images (20 of them positive), each class by its share, are all",
                "both, negative and positive",
                "set splits.asked.sample to a larger number",
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
            {"sample": 5},
            (
                "splits.asked: 5 patients (2 negative, 3 positive) are too few to cut a test and a ",
                "at least 3 patients of each class",
                "use more patients",
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
        split.build(make.parameters(labels={"task": "binary", "positive": "Hernia"}), "asked")
    assert outputs(make) == before
