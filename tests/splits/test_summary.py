import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from glassbox.artifacts.shards import Images
from glassbox.artifacts.split import FOLDS
from glassbox.cohorts import nih
from glassbox.splits import build as split
from glassbox.splits import summary

# --- pixels ----------------------------------------------------------------------------------------------


@pytest.fixture
def stored(make, project):
    """Images of 700 films in several shards, and their pixels."""
    pixels = make.shards(make.table(*["No Finding"] * 700))
    return Images("films_16"), np.array(list(pixels.values()))


def test_mean_and_deviation_are_those_of_all_pixels(stored):
    images, pixels = stored
    count, mean, deviation = summary.statistics(images, np.arange(700))
    assert count == 700
    assert mean == pytest.approx(pixels.mean(dtype=np.float64), rel=1e-12)
    assert deviation == pytest.approx(pixels.std(dtype=np.float64), rel=1e-9)


def test_only_the_images_that_are_asked_for_count_in_any_order(stored):
    images, pixels = stored
    chosen = np.random.default_rng(3).permutation(700)[:300]
    found = summary.statistics(images, chosen)
    assert found == pytest.approx((300, pixels[chosen].mean(), pixels[chosen].std()), rel=1e-9)
    assert found == summary.statistics(images, np.sort(chosen))


def test_films_of_one_grey_level_have_a_deviation_of_exactly_zero(make, project):
    make.shards(make.table(*["No Finding"] * 700), levels=(255, 255))
    assert summary.statistics(Images("films_16"), np.arange(700)) == (700, 255.0, 0.0)


# --- what folds share ------------------------------------------------------------------------------------


def twelve(make, **changes):
    """Twelve images of as many patients, four in each fold, in which some cells are replaced."""
    rows = make.table(*["No Finding"] * 12)[["image_id", "patient_id"]]
    rows["fold"] = [fold for fold in FOLDS for _ in range(4)]
    rows["source_sha256"] = [f"{number:064x}" for number in range(12)]
    for column, cells in changes.items():
        for row, value in cells.items():
            rows.loc[row, column] = value
    return rows


def pairs(train_validation=0, train_test=0, validation_test=0):
    return {"train-validation": train_validation, "train-test": train_test, "validation-test": validation_test}


def count(rows):
    """The counts by what is shared, then by folds."""
    counted = {}
    for row in summary.leaks(rows):
        counted.setdefault(row.what, {})[row.folds] = row.shared
    return counted


def test_folds_that_share_nothing_count_zero(make):
    assert count(twelve(make)) == {"patients": pairs(), "images": pairs(), "identical_files": pairs()}


def test_a_patient_in_two_folds_is_counted_once_however_many_images_there_are(make):
    counted = count(twelve(make, patient_id={0: "9", 1: "9", 10: "9"}))
    assert counted == {"patients": pairs(train_test=1), "images": pairs(), "identical_files": pairs()}


def test_a_patient_in_all_folds_counts_for_each_pair(make):
    assert count(twelve(make, patient_id={0: "9", 4: "9"}))["patients"] == pairs(1, 1, 1)


def test_an_image_in_two_folds_is_counted(make):
    counted = count(twelve(make, image_id={4: "8.png", 5: "9.png"}))
    assert counted == {"patients": pairs(), "images": pairs(validation_test=2), "identical_files": pairs()}


def test_one_file_under_two_names_is_counted(make):
    counted = count(twelve(make, source_sha256={0: f"{5:064x}"}))
    assert counted == {"patients": pairs(), "images": pairs(), "identical_files": pairs(train_validation=1)}


def test_two_of_a_kind_within_one_fold_are_no_leak(make):
    counted = count(twelve(make, patient_id={0: "1"}, source_sha256={0: f"{1:064x}"}))
    assert counted == {"patients": pairs(), "images": pairs(), "identical_files": pairs()}


def test_an_image_that_has_a_row_in_two_folds_shares_its_patient_and_its_file_however_often_it_is_drawn(make):
    rows = twelve(make).assign(draws=7)
    once_more = rows.iloc[[8, 9]].assign(fold="validation", draws=3)
    both = pd.concat([rows, once_more, rows.iloc[[8]].assign(fold="train")])
    shared = pairs(train_validation=1, train_test=1, validation_test=2)
    assert count(both) == {"patients": shared, "images": shared, "identical_files": shared}


# --- classes ---------------------------------------------------------------------------------------------

MULTI = {"task": "multi_label"}


@pytest.fixture
def plotted(monkeypatch, tmp_path):
    """Plots counts and returns the figure."""
    figures = []
    saved = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kw: (figures.append(self), saved(self, *args, **kw))
    )

    def plotted(counts):
        summary.plot(counts, tmp_path / "labels.png")
        return figures[-1]

    return plotted


def test_the_plot_is_the_same_picture_twice(make, films, tmp_path):
    counts = summary.classes(split.select(films, make.settings(balance="largest"), nih.VOCABULARY, "splits.x"))
    summary.plot(counts, tmp_path / "one.png")
    summary.plot(counts, tmp_path / "two.png")
    once = (tmp_path / "one.png").read_bytes()
    assert once.startswith(b"\x89PNG")
    assert once == (tmp_path / "two.png").read_bytes()


def test_other_counts_make_another_picture(make, films, tmp_path):
    for balance in ("largest", "none"):
        counts = summary.classes(split.select(films, make.settings(balance=balance), nih.VOCABULARY, "splits.x"))
        summary.plot(counts, tmp_path / f"{balance}.png")
    assert (tmp_path / "largest.png").read_bytes() != (tmp_path / "none.png").read_bytes()


def test_a_balanced_training_fold_has_equal_draws_and_its_own_images(make, films):
    counts = summary.classes(split.select(films, make.settings(balance="largest"), nih.VOCABULARY, "splits.x"))
    train = counts[counts["fold"] == "train"].set_index("class")
    assert len(set(train["draws"])) == 1
    assert len(set(train["images"])) == 2
    others = counts[counts["fold"] != "train"]
    assert (others["images"] == others["draws"]).all()


def test_of_two_classes_bars_stand_side_by_side_in_each_fold(make, films, plotted):
    counts = summary.classes(split.select(films, make.settings(balance="largest"), nih.VOCABULARY, "splits.x"))
    figure = plotted(counts)
    assert figure.get_size_inches().tolist() == [8, 3.4]
    for axes, column in zip(figure.axes, ("images", "draws"), strict=True):
        assert [text.get_text() for text in axes.get_xticklabels()] == ["train", "validation", "test"]
        heights = [bar.get_height() for bars in axes.containers for bar in bars]
        assert heights == counts.sort_values("class", ascending=False, kind="stable")[column].tolist()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["No Finding", "Infiltration"]


def test_of_many_classes_each_is_a_line_with_three_folds_and_their_counts(make, ill, plotted):
    counts = summary.classes(
        split.select(ill, make.settings(labels=MULTI, balance="none"), nih.VOCABULARY, "splits.x")
    )
    before, after = (figure := plotted(counts)).axes
    assert [text.get_text() for text in before.get_yticklabels()] == ["No Finding", *nih.VOCABULARY.findings]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "validation", "test"]
    for axes, column in ((before, "images"), (after, "draws")):
        assert [bar.get_width() for bars in axes.containers for bar in bars] == counts[column].tolist()
        assert [text.get_text() for text in axes.texts] == [f"{count:,}" for count in counts[column]]
    colours = {bars[0].get_facecolor() for bars in before.containers}
    assert len(colours) == 3


def test_no_text_of_the_picture_of_many_classes_is_on_another_or_outside_of_it(make, ill, plotted):
    counts = summary.classes(
        split.select(ill, make.settings(labels=MULTI, balance="none"), nih.VOCABULARY, "splits.x")
    )
    # As in NIH: a class of 60,000 images, and one that a fold lacks.
    counts.loc[0, ["images", "draws"]] = 60_361
    counts.loc[counts.index[-1], ["images", "draws"]] = 0
    figure = plotted(counts)
    texts = [
        text
        for axes in figure.axes
        for text in (*axes.texts, *axes.get_yticklabels(), axes.title)
        if text.get_text()
    ]
    boxes = [text.get_window_extent() for text in texts if text.get_visible()]
    for number, box in enumerate(boxes):
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_an_image_of_several_labels_counts_for_each(make, ill):
    made = split.select(ill, make.settings(labels=MULTI, balance="none"), nih.VOCABULARY, "splits.x")
    counts = summary.classes(made)
    assert len(counts) == 45
    assert counts["images"].sum() > len(made)
    for row in counts.itertuples():
        assert row.images == made.loc[made["fold"] == row.fold, f"label_{row[2]}"].sum()
