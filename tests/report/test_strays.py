import builders
import pytest

from glassbox.assessment.errors import ReportError
from glassbox.paths import METRICS, REPORTS
from glassbox.report.comparison import compare
from glassbox.report.strays import strays


def put(*paths):
    for path in paths:
        (METRICS / path).parent.mkdir(parents=True, exist_ok=True)
        (METRICS / path).write_text("{}")


def test_results_of_what_params_name_are_no_strays(project):
    put("sources/films.json", "catalogs/films.json", "splits/squares/labels.csv", ".gitignore")
    assert strays(project) == []


def test_a_project_without_metrics_has_no_strays(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    assert strays(builders.parameters(make.parameters({}))) == []


STRAYS = {
    "densenet/scores.json": "densenet",
    "films.json": "films.json",
    "sources/vgg/scores.json": "sources/vgg",
    "sources/other.json": "sources/other.json",
    "sources/films.csv": "sources/films.csv",
    "catalogs/films/rows.json": "catalogs/films",
    "splits/pneumonia/labels.csv": "splits/pneumonia",
}


def test_all_strays_are_refused_by_name_and_nothing_is_written(project):
    put("sources/films.json", *STRAYS)
    (METRICS / "empty").mkdir()
    found = sorted(METRICS / stray for stray in [*STRAYS.values(), "empty"])
    assert strays(project) == found
    with pytest.raises(ReportError) as refusal:
        compare(project)
    assert f"git rm -r {' '.join(map(str, found))}" in refusal.value.action
    assert not REPORTS.exists()


@pytest.mark.parametrize(("written", "stray"), STRAYS.items())
def test_each_is_a_stray_by_itself(project, written, stray):
    put(written)
    assert strays(project) == [METRICS / stray]
