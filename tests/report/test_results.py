import builders
import pytest

from glassbox.paths import METRICS
from glassbox.report.results import Number, Result, stale


def test_what_folds_share_is_said_pair_by_pair(project, make):
    assert Result.read("vgg").shared == []
    make.split(
        "squares",
        train_test={"patients": 1234, "images": 1, "identical_files": 2},
        validation_test={"patients": 1},
    )
    assert Result.read("vgg").shared == [
        "train and test share 1,234 patients, 1 image, 2 identical files",
        "validation and test share 1 patient",
    ]


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(0.7, "inside"), (0.8, "inside"), (0.69, "below"), (0.81, "above"), (None, None)],
)
def test_the_ends_of_an_interval_are_inside(published, verdict):
    assert Number(measured=0.75, low=0.7, high=0.8, published=published).verdict == verdict


def put(*paths):
    for path in paths:
        (METRICS / path).parent.mkdir(parents=True, exist_ok=True)
        (METRICS / path).write_text("{}")


def test_results_of_what_params_name_are_not_stale(project):
    put("sources/films.json", "catalogs/films.json", "splits/squares/labels.csv", ".gitignore")
    assert stale(project) == []


def test_a_project_without_metrics_has_no_stale_ones(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    assert stale(builders.parameters(make.parameters({}))) == []


@pytest.mark.parametrize(
    ("written", "found"),
    {
        "densenet/scores.json": "densenet",
        "films.json": "films.json",
        "sources/vgg/scores.json": "sources/vgg",
        "sources/other.json": "sources/other.json",
        "sources/films.csv": "sources/films.csv",
        "catalogs/films/rows.json": "catalogs/films",
        "splits/pneumonia/labels.csv": "splits/pneumonia",
        "grids/gone/grid.csv": "grids/gone",
    }.items(),
)
def test_results_of_what_is_not_in_params_are_stale(project, written, found):
    put(written)
    assert stale(project) == [METRICS / found]
