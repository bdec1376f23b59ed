"""A grid whose second choice one of two experiments takes, on the page."""

import base64

import builders
import pytest

from glassbox.artifacts import cells
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.grids.choose import choose
from glassbox.paths import REPORTS
from glassbox.report.comparison import compare


@pytest.fixture
def with_grid(values):
    """Parameters with a grid of two cells, which have been trained and chosen among."""
    values["experiments"]["vgg"]["choice"] = {"file": str(cells.choice_path("mine")), "rank": 2}
    named = {"experiment": "vgg", "split": "squares", "weights": "pretrained"}
    short = {"images": [30], "all_but_last": [2, 3], "epochs": 1, "steps_per_epoch": 1, "choices": 2}
    values["grids"] = {"mine": named | short}
    params = builders.parameters(values)
    trained = [
        Cell(images=30, all_but_last=layers, val_accuracy=accuracy, majority_accuracy=0.6)
        for layers, accuracy in ((2, 0.61), (3, 0.63))
    ]
    cells.write(cells.grid_path("mine"), trained, "grid@mine")
    choose(params.grids["mine"], "mine")
    return builders.resolve(values)


def test_the_page_shows_the_heat_map_and_runs_with_what_was_chosen(with_grid):
    compare(with_grid)
    page = " ".join((REPORTS / "comparison.html").read_text().split())
    embedded = base64.b64encode(cells.heat_map("mine")).decode()
    assert f'<img src="data:image/png;base64,{embedded}" alt="Heat map of the grid mine">' in page
    for name, chosen, own in (
        ("training.images", "30", "null"),
        ("fine_tune.freeze.all_but_last", "2", "\N{EN DASH}"),
        ("choice.rank", "2", "1"),
    ):
        assert f'<th scope="row">{name}</th> <td>{chosen}</td> <td>{own}</td>' in page


def test_without_grids_the_page_has_none(project):
    compare(project)
    assert "Heat map" not in (REPORTS / "comparison.html").read_text()


@pytest.mark.parametrize("content", [None, "GIF"])
def test_without_the_heat_map_that_was_drawn_nothing_is_written(with_grid, content):
    cells.heat_map_path("mine").unlink()
    if content is not None:
        cells.heat_map_path("mine").write_text(content)
    with pytest.raises(ArtifactError, match=r"heat_map\.png"):
        compare(with_grid)
    assert not REPORTS.exists()
