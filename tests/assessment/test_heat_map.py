import json
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from glassbox import layout, params
from glassbox.assessment import choose, heat_map
from glassbox.learning import cells
from glassbox.learning.cells import Cell


def cell(images, all_but_last, relative):
    return Cell(images=images, all_but_last=all_but_last, val_accuracy=0.5 + relative, majority_accuracy=0.5)


GRID = [cell(100, 0, -0.02), cell(100, 1, 0.01), cell(200, 0, 0.03), cell(200, 1, 0.0)]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws a heat map and gives the figure, as it is when it is written."""

    def drawn(grid, chosen):
        saved = []
        savefig = Figure.savefig
        monkeypatch.setattr(
            Figure, "savefig", lambda self, *args, **rest: (saved.append(self), savefig(self, *args, **rest))
        )
        heat_map.draw(grid, chosen, tmp_path / "heat_map.png")
        return saved[0]

    return drawn


def test_every_cell_shows_its_value_at_its_layers_and_images_and_the_chosen_are_framed(drawn):
    axes = drawn(GRID, [GRID[2], GRID[1]]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["100", "200"]
    texts = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert texts == {((0, 0), "-2.0"), ((1, 0), "+1.0"), ((0, 1), "+3.0"), ((1, 1), "+0.0")}
    np.testing.assert_allclose(axes.images[0].get_array(), [[-2, 1], [3, 0]])
    assert axes.images[0].get_clim() == pytest.approx((-3, 3)), "white is the majority classifier"
    centres = [patch.get_center() for patch in axes.patches]
    np.testing.assert_allclose(centres, [(0, 1), (1, 0)])
    assert axes.get_title("left") == "Framed: first c = 0, s = 200; second c = 1, s = 100"


def test_a_cell_that_was_not_trained_is_left_empty(drawn):
    axes = drawn(GRID[:3], GRID[:1]).axes[0]
    assert len(axes.texts) == 3
    assert np.ma.getmaskarray(axes.images[0].get_array())[1, 1]


def test_a_grid_of_one_cell_that_is_the_majority_classifier_can_be_drawn(drawn):
    assert len(drawn([cell(100, 0, 0.0)], []).axes[0].texts) == 1


def test_the_same_cells_are_the_same_bytes_whatever_the_users_style(tmp_path):
    import matplotlib as mpl

    heat_map.draw(GRID, GRID[:1], tmp_path / "one.png")
    with mpl.rc_context({"font.size": 20, "image.cmap": "hot"}):
        heat_map.draw(GRID, GRID[:1], tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    assert imread(tmp_path / "one.png").ndim == 3


# --- the choice --------------------------------------------------------------------------------------------


def test_the_best_are_those_farthest_above_the_majority_and_of_equals_the_smaller():
    grid = [cell(200, 1, 0.03), cell(100, 2, 0.03), cell(100, 1, 0.03), cell(400, 0, 0.05), cell(50, 0, 0.0)]
    assert choose.ranked(grid) == [grid[3], grid[2], grid[1], grid[0], grid[4]]


def test_it_is_the_distance_that_counts_not_the_accuracy():
    high = Cell(images=1, all_but_last=0, val_accuracy=0.9, majority_accuracy=0.9)
    far = Cell(images=1, all_but_last=1, val_accuracy=0.6, majority_accuracy=0.5)
    assert choose.ranked([high, far]) == [far, high]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Parameters with a grid of two rows and one of another, whose tables are there; the working directory."""
    monkeypatch.chdir(tmp_path)
    for grid, name, written in (
        ("mine", "large", GRID[2:]),
        ("mine", "small", GRID[:2]),
        ("mine", "gone", [cell(300, 0, 0.4)]),
        ("other", "x", [cell(300, 0, 0.4)]),
    ):
        cells.write(written, layout.row(grid, name))
    row = {"experiment": "e", "dataset": "d", "split": "s", "weights": "w"}
    rows = {
        name: params.Row(grid=grid, images=images, all_but_last=(0, 1), **row)
        for name, grid, images in (("large", "mine", 200), ("small", "mine", 100), ("x", "other", 300))
    }
    grids = {"mine": params.Grid(experiment="e", epochs=1, steps_per_epoch=1, choices=2)}
    return params.Params.model_construct(rows=rows, grids=grids)


def test_the_choice_is_data_and_its_table_and_heat_map_are_metrics(project):
    choose.choose(project, "mine")
    assert json.loads(layout.choices("mine").read_text()) == [
        {"images": 200, "all_but_last": 0, "val_accuracy": 0.53, "majority_accuracy": 0.5},
        {"images": 100, "all_but_last": 1, "val_accuracy": 0.51, "majority_accuracy": 0.5},
    ]
    folder = layout.METRICS / "grids" / "mine"
    assert (folder / "grid.csv").read_text() == (
        "images,all_but_last,val_accuracy,majority_accuracy,relative,choice\n"
        "100,0,0.48,0.5,-0.02,\n"
        "100,1,0.51,0.5,0.01,2\n"
        "200,0,0.53,0.5,0.03,1\n"
        "200,1,0.5,0.5,0.0,\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["grid.csv", "heat_map.png"]


def test_choosing_needs_no_tensorflow():
    code = "import sys, glassbox.assessment.choose; sys.exit(bool({'keras', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
