import hashlib
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glassbox.artifacts import leaks, shards
from glassbox.artifacts import split as artifact
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.split import FOLDS
from glassbox.cohorts import nih
from glassbox.paths import METRICS
from glassbox.splits import build as split
from glassbox.splits import summary
from glassbox.splits.labels import SplitError

REJECTED = ("00000001_000.png", "00000002_000.png")


def stored():
    """The rows of the split `asked`, fold by fold, with their `fold`."""
    return pd.concat([artifact.read("asked", fold).assign(fold=fold) for fold in FOLDS], ignore_index=True)


def shared():
    """(What, folds) -> how many the folds of the split `asked` share."""
    return {(leak.what, leak.folds): leak.shared for leak in leaks.read("asked")}


def change_index(change):
    """Writes the index of the shards anew as `change` makes it of its rows."""
    rows, made_of = shards.read_index("films_16")
    folder = shards.folder("films_16")
    index = pa.Table.from_pandas(change(rows.to_pandas()), shards.INDEX, preserve_index=False)
    shards.write_tables("films_16", folder, index, pq.read_table(folder / "rejected.parquet"), made_of)


@pytest.fixture(scope="module")
def once(make, tmp_path_factory):
    """A cohort of 60 patients whose split was built: its folder, its catalog, and its pixels by image."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = make.cohort(patients=60)
        pixels = make.write(rows, REJECTED)
        split.build(make.settings(balance="largest"), "asked")
    return folder, rows, pixels


@pytest.fixture
def built(once, tmp_path, monkeypatch):
    """A copy of it, in which the test runs: its catalog, its pixels by image, and its split."""
    folder, rows, pixels = once
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "project"))
    return rows, pixels, stored()


def outputs(make):
    return make.contents(artifact.folder("asked"), leaks.folder("asked"))


def test_a_split_is_a_file_a_fold_with_their_statistics_and_three_more_to_look_at(built, make):
    assert [path.rpartition("/")[2] for path in outputs(make)] == [
        *("statistics.json", "test.parquet", "train.parquet", "validation.parquet"),
        *("labels.csv", "labels.png", "leakage.json"),
    ]


@pytest.mark.parametrize("fold", FOLDS)
def test_the_columns_of_a_fold_and_their_types_are_promised(built, fold):
    assert pq.read_schema(artifact.path("asked", fold)).remove_metadata() == pa.schema(
        [
            ("image_id", pa.string()),
            ("patient_id", pa.string()),
            ("label_No Finding", pa.uint8()),
            ("label_Infiltration", pa.uint8()),
            ("draws", pa.int32()),
            ("source_sha256", pa.string()),
            ("pixels_sha256", pa.string()),
        ]
    )


def test_a_split_is_the_same_bytes_twice(built, make):
    once = outputs(make)
    split.build(make.settings(balance="largest"), "asked")
    assert outputs(make) == once


def test_other_pixels_of_a_test_image_change_the_test_folds_file_alone(built, make):
    *_, made = built
    other = made.loc[made["fold"] == "test", "image_id"].iloc[0]
    before = outputs(make)
    change_index(
        lambda rows: rows.assign(pixels_sha256=rows["pixels_sha256"].mask(rows["image_id"] == other, "0" * 64))
    )
    split.build(make.settings(balance="largest"), "asked")
    now = outputs(make)
    assert [path.rpartition("/")[2] for path in before if now[path] != before[path]] == ["test.parquet"]


def test_it_has_each_labelled_image_that_could_be_read_once_in_the_catalogs_order(built):
    rows, _, made = built
    wanted = rows["findings"].map(lambda found: "Infiltration" in found or "No Finding" in found)
    assert rows.loc[wanted, "image_id"].isin(REJECTED).any(), "a rejected image should have been labelled"
    expected = [image for image in rows.loc[wanted, "image_id"] if image not in REJECTED]
    assert sorted(made["image_id"]) == sorted(expected)
    for _, own in made.groupby("fold"):
        assert own["image_id"].tolist() == [image for image in expected if image in set(own["image_id"])]


def test_labels_and_patients_are_the_catalogs(built):
    rows, _, made = built
    both = made.merge(rows, on="image_id", suffixes=("", "_listed"))
    assert (both["patient_id"] == both["patient_id_listed"]).all()
    infiltrated = both["findings"].map(lambda found: "Infiltration" in found)
    assert (both["label_Infiltration"] == infiltrated).all()
    assert (both["label_No Finding"] == ~infiltrated).all()


def test_it_says_of_each_image_which_file_and_which_pixels_are_meant(built):
    _, pixels, made = built
    assert made["pixels_sha256"].tolist() == [shards.digest(pixels[image]) for image in made["image_id"]]
    files = shards.read_index("films_16").rows.to_pandas().set_index("image_id")["source_sha256"]
    assert made["source_sha256"].tolist() == files[made["image_id"]].tolist()


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
    expected = (len(train), pytest.approx(train.mean(), rel=1e-9), pytest.approx(train.std(), rel=1e-9))
    assert artifact.read_statistics("asked") == expected


def test_our_split_leaks_nothing(built):
    found = shared()
    assert {what for what, _ in found} == {"patients", "images", "identical_files"}
    assert list(found.values()) == [0] * 9


def test_a_file_that_lies_in_two_folds_under_two_names_is_counted(built, make):
    *_, made = built
    one, other = (made.loc[made["fold"] == fold].iloc[0] for fold in ("train", "test"))
    change_index(
        lambda rows: rows.assign(
            source_sha256=rows["source_sha256"].mask(rows["image_id"] == one["image_id"], other["source_sha256"])
        )
    )
    split.build(make.settings(balance="largest"), "asked")
    assert {leak: count for leak, count in shared().items() if count} == {("identical_files", "train-test"): 1}


def test_the_label_histogram_adds_up_to_the_split(built):
    *_, made = built
    counts = pd.read_csv(METRICS / "splits/asked/labels.csv")
    pd.testing.assert_frame_equal(counts, summary.classes(made))
    assert counts[["fold", "class"]].to_numpy().tolist() == [
        [fold, name] for fold in FOLDS for name in ("No Finding", "Infiltration")
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
        made[artifact.labels(made)].sum()
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
    assert [(train[name] * train["draws"]).sum() for name in artifact.labels(made)] == [40] * 15


# --- published procedures ----------------------------------------------------------------------------------

MULTI = {"labels": {"task": "multi_label"}, "balance": "none"}
BY_IMAGE = {"procedure": "by_image", "official_test": False, "test": 0.2}
ROWS = {"procedure": "rows_with_replacement", "official_test": False, "test": 0.2, "rows_a_class": 100}
#: Parameters -> what is shared by train and test, and by validation and test, beside patients.
PROCEDURES = {
    "by_patient": ({"official_test": False}, False, False),
    "by_patient, validated on test": ({"validation": "test"}, False, True),
    "by_image": (BY_IMAGE, False, False),
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
        split.build(make.settings(**changes), "asked")
        return stored(), shared()

    return ask


@pytest.mark.parametrize(("changes", "on_test", "validated"), PROCEDURES.values(), ids=PROCEDURES)
def test_the_leak_of_a_procedure_is_there_and_is_counted_as_it_is(ask, changes, on_test, validated):
    made, leaks = ask(**changes)
    held = {fold: made[made["fold"] == fold] for fold in FOLDS}
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


def test_a_procedure_that_draws_rows_makes_the_same_bytes_twice(ask, make):
    ask(**ROWS | {"validation": "test"})
    once = outputs(make)
    ask(**ROWS | {"validation": "test"})
    assert outputs(make) == once


def test_a_split_of_every_finding_has_a_column_for_each(ask):
    made, _ = ask(**MULTI)
    assert artifact.labels(made) == [f"label_{name}" for name in ("No Finding", *nih.VOCABULARY.findings)]


def test_statistics_count_an_image_of_the_training_fold_once_however_often_it_is_drawn(ask):
    made, _ = ask(**ROWS)
    train = made[made["fold"] == "train"]
    assert train["draws"].sum() > len(train)
    assert artifact.read_statistics("asked").images == len(train)


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
        split.build(make.settings(**{"official_test": False} | changes), "asked")
    for said, part in zip(refusal.value.args, message, strict=True):
        assert part in said
    assert sorted(project.rglob("*")) == before


def test_images_that_the_dataset_does_not_hold_are_refused_and_no_file_is_left(make, project):
    make.write(make.table(*HALVES))
    change_index(lambda rows: rows[:30])
    with pytest.raises(ArtifactError) as refusal:
        split.build(make.settings(official_test=False), "asked")
    assert "data/shards/films_16/index.parquet lacks the image 3" in refusal.value.found
    assert "`dvc repro --force resize@films_16`" in refusal.value.action
    assert not artifact.folder("asked").exists()
    assert not METRICS.exists()


def test_a_training_image_of_which_a_pixel_was_changed_is_refused_by_its_shard(built, make):
    _, pixels, made = built
    image = made.loc[made["fold"] == "train", "image_id"].iloc[0]
    rows = shards.read_index("films_16").rows.to_pandas().set_index("image_id")
    shard = shards.folder("films_16") / rows["shard"][image]
    content = bytearray(shard.read_bytes())
    content[content.index(pixels[image].tobytes())] ^= 1
    shard.write_bytes(content)
    before = outputs(make)
    with pytest.raises(ArtifactError, match=f"{shard} has in row {rows['row'][image]} pixels of SHA-256"):
        split.build(make.settings(balance="largest"), "asked")
    assert outputs(make) == before


def test_a_refused_split_leaves_the_one_before_it_as_it_was(built, make):
    before = outputs(make)
    with pytest.raises(SplitError):
        split.build(make.settings(labels={"task": "binary", "positive": "Hernia"}), "asked")
    assert outputs(make) == before
