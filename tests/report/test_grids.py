"""A grid whose second choice one of two experiments takes, on the page."""

import base64

import builders
import pytest

from glassbox.artifacts import cells
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.assessment.choose import choose
from glassbox.paths import METRICS, REPORTS
from glassbox.report.comparison import compare
from glassbox.report.strays import strays


@pytest.fixture
def with_grid(values):
    """Parameters with a grid of two cells, which have been trained and chosen among."""
    values["experiments"]["vgg"]["choice"] = {"file": str(cells.choice_path("mine")), "rank": 2}
    row = {"grid": "mine", "experiment": "vgg", "split": "squares", "weights": "pretrained", "images": 30}
    values["grids"] = {"mine": {"experiment": "vgg", "epochs": 1, "steps_per_epoch": 1, "choices": 2}}
    values["rows"] = {"few": row | {"all_but_last": [2, 3]}}
    params = builders.parameters(values)
    trained = [
        Cell(images=30, all_but_last=layers, val_accuracy=accuracy, majority_accuracy=0.6)
        for layers, accuracy in ((2, 0.61), (3, 0.63))
    ]
    cells.write(cells.row_path("mine", "few"), trained, "grid@few")
    choose(params.grids["mine"], params.rows, "mine")
    return builders.resolve(values)


def test_the_page_shows_the_heat_map_and_runs_with_what_was_chosen(with_grid):
    compare(with_grid)
    page = " ".join((REPORTS / "comparison.html").read_text().split())
    embedded = base64.b64encode(cells.heat_map("mine")).decode()
    assert f'<img src="data:image/png;base64,{embedded}" alt="Heat map of the grid mine">' in page
    assert "<td>30 of it</td> <td>the training fold</td>" in page
    assert "<td>all but the last 2 layers with parameters</td> <td>nothing</td>" in page
    assert "<td>choice 2 of the grid mine</td> <td>the recipe&#39;s own</td>" in page


def test_without_grids_the_page_has_none(project):
    compare(project)
    assert "Heat map" not in (REPORTS / "comparison.html").read_text()


def test_the_metrics_of_a_grid_that_is_gone_are_strays(with_grid):
    assert strays(with_grid) == []
    (METRICS / "grids" / "gone").mkdir()
    assert strays(with_grid) == [METRICS / "grids" / "gone"]


@pytest.mark.parametrize("content", [None, "GIF"])
def test_without_the_heat_map_that_was_drawn_nothing_is_written(with_grid, content):
    cells.heat_map_path("mine").unlink()
    if content is not None:
        cells.heat_map_path("mine").write_text(content)
    with pytest.raises(ArtifactError, match=r"heat_map\.png"):
        compare(with_grid)
    assert not REPORTS.exists()
