from glassbox.cohorts import nih
from glassbox.selection import histogram, split


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
