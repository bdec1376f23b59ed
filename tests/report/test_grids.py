"""A grid whose second choice one of two experiments takes, on the page."""

import base64

import pytest

from glassbox import layout, params
from glassbox.errors import ReportError
from glassbox.report import grids
from glassbox.report.comparison import compare
from glassbox.report.strays import strays

FOLDER = layout.METRICS / "grids" / "mine"
TABLE = """images,all_but_last,val_accuracy,majority_accuracy,relative,choice
30,2,0.61,0.6,0.01,2
30,3,0.6,0.6,0.0,
1200,2,0.63,0.6,0.03,1
"""


@pytest.fixture
def with_grid(project, make):
    """Parameters with a grid, whose table and heat map are there."""
    values = project.model_dump(mode="json")
    values["experiments"]["vgg"]["choice"] = {"file": "data/choices/mine.json", "rank": 2}
    named = {"grid": "mine", "experiment": "vgg", "dataset": "films-64", "split": "infiltration"}
    values["grids"] = {"mine": {"experiment": "vgg", "epochs": 1, "steps_per_epoch": 1, "choices": 2}}
    values["rows"] = {"few": named | {"weights": "pretrained", "images": 30, "all_but_last": [2, 3]}}
    FOLDER.mkdir(parents=True)
    (FOLDER / "grid.csv").write_text(TABLE)
    (FOLDER / "heat_map.png").write_bytes(make.pixel)
    return params.parse(values, "params.yaml")


def test_an_experiment_is_shown_with_what_its_grid_chose(with_grid):
    before, after = with_grid.experiments, grids.chosen(with_grid).experiments
    assert after["vgg"].training.images == 30
    assert after["vgg"].fine_tune.freeze == params.AllButLastLayers(all_but_last=2)
    assert after["resnet"] == before["resnet"]


def test_the_page_shows_the_heat_map_and_names_the_choice(with_grid, make):
    compare(with_grid, "")
    page = " ".join((layout.REPORTS / "comparison.html").read_text().split())
    embedded = base64.b64encode(make.pixel).decode()
    assert f'<img src="data:image/png;base64,{embedded}" alt="Heat map of the grid mine">' in page
    assert "<td>30 of it</td>" in page
    assert "<td>all but the last 2 layers with parameters</td>" in page
    assert "<td>choice 2 of the grid mine</td> <td>the recipe&#39;s own</td>" in page


def test_without_grids_the_page_has_none(project):
    compare(project, "")
    assert "Heat map" not in (layout.REPORTS / "comparison.html").read_text()


def test_the_metrics_of_a_grid_that_is_gone_are_strays(with_grid):
    assert strays(with_grid) == []
    (FOLDER.parent / "gone").mkdir()
    assert strays(with_grid) == [FOLDER.parent / "gone"]


@pytest.mark.parametrize(
    ("file", "content", "found"),
    [
        ("grid.csv", None, "grid.csv has no choice 2"),
        ("grid.csv", TABLE.replace(",2\n", ",\n"), "grid.csv has no choice 2"),
        ("grid.csv", "choice\n2\n", "grid.csv has no choice 2"),
        ("heat_map.png", None, "heat_map.png is not there"),
        ("heat_map.png", "GIF", "heat_map.png is no PNG file"),
    ],
)
def test_what_is_missing_or_broken_of_a_grid_is_refused_and_nothing_is_written(with_grid, file, content, found):
    (FOLDER / file).unlink()
    if content is not None:
        (FOLDER / file).write_text(content)
    with pytest.raises(ReportError, match=found) as refusal:
        compare(with_grid, "")
    assert "dvc repro" in refusal.value.action
    assert not layout.REPORTS.exists()
