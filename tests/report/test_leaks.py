import pytest

from glassbox import layout
from glassbox.errors import ReportError
from glassbox.report import leaks
from glassbox.report.comparison import compare


def test_a_clean_split_shares_nothing(project, make):
    assert leaks.shared(leaks.read("infiltration")) == []


def test_what_folds_share_is_said_pair_by_pair(project, make):
    make.split(
        "infiltration",
        train_test={"patients": 1234, "images": 1, "identical_files": 2},
        validation_test={"patients": 1},
    )
    assert leaks.shared(leaks.read("infiltration")) == [
        "train and test share 1,234 patients, 1 image and 2 identical files",
        "validation and test share 1 patient",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not there"),
        ("<<<<<<< HEAD", "holds no counts"),
        ("{}", "holds no counts"),
        ("[]", "is empty"),
        ('[{"folds": "train-test", "what": "patients", "shared": -1}]', "holds no counts"),
        ('[{"folds": "train-test", "what": "patients"}]', "holds no counts"),
    ],
)
def test_without_counts_nothing_is_said_to_be_clean(project, content, message):
    path = layout.METRICS / "splits" / "infiltration" / "leakage.json"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(ReportError, match=f"leakage.json {message}"):
        compare(project, "")
    assert not layout.REPORTS.exists()
