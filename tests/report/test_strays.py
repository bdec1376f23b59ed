import pytest

from glassbox import layout
from glassbox.errors import ReportError
from glassbox.report.comparison import compare
from glassbox.report.strays import strays


def put(*paths):
    for path in paths:
        (layout.METRICS / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.METRICS / path).write_text("{}")


def test_results_of_what_params_name_are_no_strays(project):
    put("sources/films.json", "catalogs/films.json", "splits/infiltration/folds.json", ".gitignore")
    assert strays(project) == []


def test_a_project_without_metrics_has_no_strays(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    assert strays(make.parameters()) == []


STRAYS = {
    "densenet/scores.json": "densenet",
    "films.json": "films.json",
    "sources/vgg/scores.json": "sources/vgg",
    "sources/other.json": "sources/other.json",
    "sources/films.csv": "sources/films.csv",
    "catalogs/films/rows.json": "catalogs/films",
    "splits/pneumonia/folds.json": "splits/pneumonia",
}


@pytest.mark.parametrize(("written", "stray"), STRAYS.items())
def test_a_stray_is_refused_by_name_and_nothing_is_written(project, written, stray):
    put("sources/films.json", written)
    assert strays(project) == [layout.METRICS / stray]
    with pytest.raises(ReportError, match=f"metrics/{stray}") as refusal:
        compare(project, "")
    assert f"git rm -r metrics/{stray}" in refusal.value.action
    assert "dvc repro" in refusal.value.action
    assert not layout.REPORTS.exists()


def test_an_empty_folder_is_a_stray_too(project):
    (layout.METRICS / "old").mkdir()
    assert strays(project) == [layout.METRICS / "old"]


def test_all_strays_are_named_at_once_in_order(project):
    put(*STRAYS)
    assert strays(project) == sorted({layout.METRICS / stray for stray in STRAYS.values()})
