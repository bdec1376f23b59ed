import pandas as pd
import pytest

from glassbox.cohorts import nih
from glassbox.selection import strata
from glassbox.selection.labels import label


def units(**sizes):
    """Units in `fine` strata of these sizes, whose first letter is the `coarse` one."""
    fine = [name for name, size in sizes.items() for _ in range(size)]
    return pd.DataFrame({"coarse": [name[0] for name in fine], "fine": fine}, index=range(100, 100 + len(fine)))


def drawn(frame, size, seed=3):
    return frame.loc[strata.draw(frame, size, seed)]


@pytest.mark.parametrize("size", [0.2, 20])
def test_every_fine_stratum_gives_its_share(size):
    assert drawn(units(a1=50, a2=30, b=20), size)["fine"].value_counts().to_dict() == {"a1": 10, "a2": 6, "b": 4}


def test_a_unit_that_is_alone_in_its_stratum_joins_the_coarse_one():
    frame = units(a1=1, a2=1, a3=18, b=20)
    for seed in range(8):
        assert drawn(frame, 0.5, seed)["fine"].isin(["a1", "a2"]).sum() == 1


def test_coarse_strata_serve_where_there_are_fewer_units_to_draw_than_fine_ones():
    frame = units(a1=10, a2=10, b1=10, b2=10)
    assert set(drawn(frame, 2)["coarse"]) == {"a", "b"}


def test_too_few_units_for_either_are_refused():
    for frame, size in ((units(a1=10, b1=10), 1), (units(a1=10, b1=1), 5), (units(a1=10, b1=10), 19)):
        with pytest.raises(ValueError, match="class"):
            strata.draw(frame, size, 3)


def test_a_draw_is_the_seeds():
    frame = units(a=50, b=50)
    once, again, other = (strata.draw(frame, 0.3, seed) for seed in (3, 3, 4))
    assert once == again != other


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_images_are_drawn_by_class_and_of_many_labels_by_whether_they_have_any(make, ill, task):
    question = {"binary": {"positive": "Mass"}, "single_label": {"several": "first"}, "multi_label": {}}[task]
    settings = make.settings(labels={"task": task} | question)
    rows = label(ill, settings.labels, nih.VOCABULARY, "splits.x.labels")
    found = strata.of_images(rows, settings.labels)
    assert found.index.tolist() == rows["image_id"].tolist()
    healthy = rows["findings"].map(lambda findings: findings == ["No Finding"]).to_numpy()
    assert ((found["coarse"] == "negative") == healthy).all()
    assert found["fine"].nunique() == {"binary": 2, "single_label": 15, "multi_label": 2}[task]
    assert len(found.drop_duplicates()) == found["fine"].nunique(), "a fine stratum lies within one coarse one"
