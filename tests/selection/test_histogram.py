import pytest
from matplotlib.figure import Figure

from glassbox.cohorts import nih
from glassbox.selection import histogram, split

MULTI = {"task": "multi_label"}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws counts and returns the figure."""
    figures = []
    saved = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **kw: (figures.append(self), saved(self, *args, **kw))
    )

    def drawn(counts):
        histogram.draw(counts, tmp_path / "labels.png")
        return figures[-1]

    return drawn


def test_the_histogram_is_the_same_picture_twice(make, films, tmp_path):
    counts = histogram.table(split.select(films, make.settings(balance="largest"), nih.VOCABULARY, "splits.x"))
    histogram.draw(counts, tmp_path / "one.png")
    histogram.draw(counts, tmp_path / "two.png")
    once = (tmp_path / "one.png").read_bytes()
    assert once.startswith(b"\x89PNG")
    assert once == (tmp_path / "two.png").read_bytes()


def test_other_counts_make_another_picture(make, films, tmp_path):
    for balance in ("largest", "none"):
        counts = histogram.table(split.select(films, make.settings(balance=balance), nih.VOCABULARY, "splits.x"))
        histogram.draw(counts, tmp_path / f"{balance}.png")
    assert (tmp_path / "largest.png").read_bytes() != (tmp_path / "none.png").read_bytes()


def test_a_balanced_training_fold_has_equal_draws_and_its_own_images(make, films):
    counts = histogram.table(split.select(films, make.settings(balance="largest"), nih.VOCABULARY, "splits.x"))
    train = counts[counts["fold"] == "train"].set_index("class")
    assert train["draws"].nunique() == 1
    assert train["images"].nunique() == 2
    others = counts[counts["fold"] != "train"]
    assert (others["images"] == others["draws"]).all()


def test_of_two_classes_bars_stand_side_by_side_in_each_fold(make, films, drawn):
    counts = histogram.table(split.select(films, make.settings(balance="largest"), nih.VOCABULARY, "splits.x"))
    figure = drawn(counts)
    assert figure.get_size_inches().tolist() == [8, 3.4]
    for axes, column in zip(figure.axes, ("images", "draws"), strict=True):
        assert [text.get_text() for text in axes.get_xticklabels()] == ["train", "validation", "test"]
        heights = [bar.get_height() for bars in axes.containers for bar in bars]
        assert heights == counts.sort_values("class", ascending=False, kind="stable")[column].tolist()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["No Finding", "Infiltration"]


def test_of_many_classes_each_is_a_line_with_three_folds_and_their_counts(make, ill, drawn):
    counts = histogram.table(
        split.select(ill, make.settings(labels=MULTI, balance="none"), nih.VOCABULARY, "splits.x")
    )
    before, after = (figure := drawn(counts)).axes
    assert [text.get_text() for text in before.get_yticklabels()] == ["No Finding", *nih.VOCABULARY.findings]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "validation", "test"]
    for axes, column in ((before, "images"), (after, "draws")):
        assert [bar.get_width() for bars in axes.containers for bar in bars] == counts[column].tolist()
        assert [text.get_text() for text in axes.texts] == [f"{count:,}" for count in counts[column]]
    colours = {bars[0].get_facecolor() for bars in before.containers}
    assert len(colours) == 3


def test_no_text_of_the_picture_of_many_classes_is_on_another_or_outside_of_it(make, ill, drawn):
    counts = histogram.table(
        split.select(ill, make.settings(labels=MULTI, balance="none"), nih.VOCABULARY, "splits.x")
    )
    # As in NIH: a class of 60,000 images, and one that a fold lacks.
    counts.loc[0, ["images", "draws"]] = 60_361
    counts.loc[counts.index[-1], ["images", "draws"]] = 0
    figure = drawn(counts)
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
    counts = histogram.table(made)
    assert len(counts) == 45
    assert counts["images"].sum() > len(made)
    for row in counts.itertuples():
        assert row.images == made.loc[made["fold"] == row.fold, f"label_{row[2]}"].sum()
