import pytest

from glassbox.report.results import Number, Result


def test_what_folds_share_is_said_pair_by_pair(project, make):
    assert Result.read("vgg").shared == []
    make.split(
        "squares",
        train_test={"patients": 1234, "images": 1, "identical_files": 2},
        validation_test={"patients": 1},
    )
    assert Result.read("vgg").shared == [
        "train and test share 1,234 patients, 1 image and 2 identical files",
        "validation and test share 1 patient",
    ]


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(0.7, "inside"), (0.8, "inside"), (0.69, "below"), (0.81, "above"), (None, None)],
)
def test_the_ends_of_an_interval_are_inside(published, verdict):
    assert Number(measured=0.75, low=0.7, high=0.8, published=published).verdict == verdict
