import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from glassbox.artifacts import cells
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.grids import choose
from glassbox.params.grids import Grid


def cell(images, all_but_last, relative):
    return Cell(images=images, all_but_last=all_but_last, val_accuracy=0.5 + relative, majority_accuracy=0.5)


GRID = [cell(100, 0, -0.02), cell(100, 1, 0.01), cell(200, 0, 0.03), cell(200, 1, 0.0)]


@pytest.fixture
def plotted(figures, tmp_path):
    """Plots a heat map and gives the figure."""

    def plotted(grid, chosen):
        choose.plot(grid, chosen, tmp_path / "heat_map.png")
        return figures[-1]

    return plotted


def test_every_cell_shows_its_value_at_its_layers_and_images_and_the_chosen_are_framed(plotted):
    axes = plotted(GRID, [GRID[2], GRID[1]]).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["100", "200"]
    texts = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert texts == {((0, 0), "-2.0"), ((1, 0), "+1.0"), ((0, 1), "+3.0"), ((1, 1), "+0.0")}
    np.testing.assert_allclose(axes.images[0].get_array(), [[-2, 1], [3, 0]])
    assert axes.images[0].get_clim() == pytest.approx((-3, 3)), "white is the majority classifier"
    centres = [patch.get_center() for patch in axes.patches]
    np.testing.assert_allclose(centres, [(0, 1), (1, 0)])
    assert axes.get_title("left") == "Framed: first c = 0, s = 200; second c = 1, s = 100"


def test_a_grid_of_one_cell_that_is_the_majority_classifier_can_be_plotted(plotted):
    assert len(plotted([cell(100, 0, 0.0)], []).axes[0].texts) == 1


def test_the_same_cells_are_the_same_bytes_whatever_the_users_style(tmp_path):
    choose.plot(GRID, GRID[:1], tmp_path / "one.png")
    with mpl.rc_context({"font.size": 20, "image.cmap": "hot"}):
        choose.plot(GRID, GRID[:1], tmp_path / "other.png")
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


SETTINGS = Grid(
    experiment="e",
    split="s",
    weights="w",
    images=(200, 100),
    all_but_last=(0, 1),
    epochs=1,
    steps_per_epoch=1,
    choices=2,
)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A grid whose cells are trained."""
    monkeypatch.chdir(tmp_path)
    cells.write(cells.grid_path("mine"), GRID, "grid@mine")


def test_the_choice_is_data_and_its_table_and_heat_map_are_metrics(trained):
    choose.choose(SETTINGS, "mine")
    assert cells.read(cells.choice_path("mine"), "choose@mine") == [GRID[2], GRID[1]]
    table = cells.heat_map_path("mine").parent / "grid.csv"
    assert table.read_text() == (
        "images,all_but_last,val_accuracy,majority_accuracy,relative,choice\n"
        "100,0,0.48,0.5,-0.02,\n"
        "100,1,0.51,0.5,0.01,2\n"
        "200,0,0.53,0.5,0.03,1\n"
        "200,1,0.5,0.5,0.0,\n"
    )
    choose.plot(GRID, [GRID[2], GRID[1]], table.parent / "again.png")
    assert cells.heat_map("mine") == (table.parent / "again.png").read_bytes()


def test_other_cells_than_the_parameters_ask_for_are_refused(trained):
    with pytest.raises(ArtifactError, match=r"mine\.json holds other cells") as refusal:
        choose.choose(SETTINGS.model_copy(update={"all_but_last": (0, 2)}), "mine")
    assert "grid@mine" in refusal.value.action
    assert not cells.choice_path("mine").exists()
