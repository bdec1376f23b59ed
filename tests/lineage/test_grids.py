"""A recipe that follows a grid's choice is proved with the grid: its cells, the choice, what cells saw."""

import json
from pathlib import Path

import builders
import pytest
import recorded
from recorded import KEY, write
from recorded_history import Record
from small_training import compact_weights

from glassbox.artifacts import cells, split
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.experiment import resolved
from glassbox.grids.choose import choose
from glassbox.lineage import grids
from glassbox.lineage.link import Verdict
from glassbox.lineage.outputs import outputs
from glassbox.lineage.revision import Revision
from glassbox.networks import weights
from glassbox.params.document import load
from glassbox.params.experiments import Choice
from glassbox.splits import build as splits

__all__ = ["compact_weights"]
CHOICE = cells.choice_path("mine").as_posix()
ACCURACIES = {(10, 0): 0.5, (10, 1): 0.75, (20, 0): 0.625, (20, 1): 0.5}


def test_the_stages_behind_a_model_are_those_of_its_grid_too(tmp_path):
    record = Record(tmp_path / "project")
    record.catalog("films", "p1_0", "p2_0", "p3_0")
    for name in ("own", "of_cells"):
        record.split(name, "films", {"p1_0": 1}, ["p2_0"], ["p3_0"])
    record.grid("mine", "other", "of_cells", images=[10, 20], layers=[0, 1], epochs=1, steps=2)
    record.train("one", "own", choice="mine")
    record.write_lock()
    chain = Revision(record.root, None).lock.chain("fine_tune@one")
    order = ["catalog@films", "split@of_cells", "grid@mine", "choose@mine", "recipe@one", "fine_tune@one"]
    assert [stage for stage in chain if stage in order] == order


@pytest.fixture(scope="module")
def project(tmp_path_factory, recorded_once, compact_weights):
    """The recorded project with a grid, of which nobody trained the cells: of another split, and other weights.

    The working directory.
    """
    root = recorded.copy(recorded_once, tmp_path_factory.mktemp("grids") / "project")
    with recorded.inside(root):
        values = recorded.document()
        path, sha256 = compact_weights
        begun = {"kind": "file", "backbone": "compact", "path": str(path), "sha256": sha256}
        values["weights"]["begun"] = begun
        values["splits"]["other"] = values["splits"]["squares"] | {"seed": 8}
        values["experiments"]["gridded"] = values["experiments"][KEY] | {"split": "other", "weights": "begun"}
        of = {"experiment": "gridded", "split": "other", "weights": "begun", "epochs": 1, "steps_per_epoch": 2}
        values["grids"] = {"mine": of | {"images": [10, 20], "all_but_last": [0, 1], "choices": 2}}
        params = builders.parameters(values)
        splits.build(params.splits["other"], "other")
        weights.make(params.weights["begun"], "begun")
        trained = [
            Cell(images=images, all_but_last=layers, val_accuracy=accuracy, majority_accuracy=0.5)
            for (images, layers), accuracy in ACCURACIES.items()
        ]
        cells.write(cells.grid_path("mine"), trained, "grid@mine")
        choose(load().grids["mine"], "mine")
        yield root


@pytest.fixture
def judged(project, tmp_path):
    """The links of the grid; a file that `judged.change(path, content)` replaced is put back in the end."""
    found = outputs(Revision(project, None), ["download@films", "resize@films_32"], tmp_path)
    sha256, before = {one.tracked.path: one.sha256 for one in found}, {}
    whole = resolved(KEY)
    settings = whole.settings.model_copy(update={"choice": Choice(file=Path(CHOICE))})

    def links():
        return grids.links(whole.model_copy(update={"settings": settings}), sha256)

    def change(path, content):
        before.setdefault(path, Path(path).read_bytes())
        write(path, content)

    links.change = change
    yield links
    for path, content in before.items():
        write(path, content)


def test_a_grid_is_verified_with_the_split_and_the_weights_of_its_cells(judged):
    links = judged()
    assert {link.verdict for link in links} == {Verdict.VERIFIED}
    assert [link.name.removesuffix(" begun") for link in links] == [
        "grid mine",
        "images of split other",
        "weights",
    ]
    assert links[0].found == "4 cells of split other, weights begun; the best chosen again"


GRID, TABLE, PLOT = "data/grids/mine.json", "metrics/grids/mine/grid.csv", "metrics/grids/mine/heat_map.png"
STAGES = {GRID: "grid@mine", CHOICE: "choose@mine"}


def cell(place, **changes):
    """Changes the first cell of a file, whose own digest then is right."""

    def change():
        told = json.loads(Path(place).read_text())
        told["cells"][0] |= changes
        facts = {name: said for name, said in told.items() if name == "heat_map_sha256"}
        at = Path("..") / Path(place).name
        cells.write(at, [Cell(**one) for one in told["cells"]], STAGES[place], **facts)
        return at.read_bytes()

    return place, change


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        (*cell(GRID, val_accuracy=0.875), f"{CHOICE}, cells: "),
        (*cell(GRID, val_accuracy=0.375), f"{TABLE}: "),
        (*cell(GRID, images=11), f"{GRID}, images and layers: "),
        (*cell(CHOICE, all_but_last=0), f"{CHOICE}, cells: "),
        (GRID, lambda: b"{}", GRID),
        (TABLE, lambda: Path(TABLE).read_bytes().replace(b"0.75", b"0.85"), f"{TABLE}: "),
        (PLOT, lambda: Path(PLOT).read_bytes() + b"more", PLOT),
    ],
)
def test_what_is_changed_of_a_grid_is_found_and_named(judged, place, content, said):
    judged.change(place, content())
    bad = [link for link in judged() if link.verdict == Verdict.WRONG]
    assert {link.name for link in bad} == {"grid mine"}
    assert any(said in link.found for link in bad)


def test_images_that_only_cells_saw_are_looked_at(judged):
    judged.change(split.path("other", "train").as_posix(), split.path("squares", "train").read_bytes())
    assert {link.name for link in judged() if link.verdict == Verdict.WRONG} == {"images of split other"}
