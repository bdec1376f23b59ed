"""Every import among rooms points down, and none goes round in a circle."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

from glassbox.code.reach import imports

SOURCE = Path(__file__).parents[1] / "src"
#: The rooms of `glassbox`, the lowest first: each imports from those before it.
ROOMS = (
    *("errors", "files", "paths", "keyed", "processor", "backend"),
    *("params", "artifacts", "code", "stage", "cluster", "recipes"),
    *("phantoms", "archives", "cohorts", "catalogs", "shards", "splits"),
    *("networks", "training", "evaluation", "grids", "report", "tracking"),
    *("profiles", "sweeps", "lineage", "doctor", "cli"),
)
#: Dotted name -> file, the `__init__.py` of a room among them.
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}


def imported(module):
    """The modules of ours that a module imports, wherever in it; what only a type checker reads is left out."""
    names = imports(MODULES[module].read_bytes(), module.rpartition(".")[0])
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} & MODULES.keys()


def height(module):
    """How high the room of a module lies."""
    return ROOMS.index(module.split(".")[1])


def test_every_room_has_its_place():
    assert {module.split(".")[1] for module in MODULES.keys() - {"glassbox"}} == set(ROOMS)


def test_every_import_points_down():
    up = [
        f"{module} imports {name}"
        for module in MODULES.keys() - {"glassbox"}
        for name in imported(module) - {"glassbox"}
        if height(name) > height(module)
    ]
    assert up == []


def test_no_import_goes_round_in_a_circle():
    TopologicalSorter({module: imported(module) for module in MODULES}).prepare()
