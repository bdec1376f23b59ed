"""Where the walk is corrected, it is wrong, and nowhere else does it guess."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from glassbox.code.exceptions import HARMLESS, UNSEEN
from glassbox.code.imports import imports
from glassbox.code.reach import Reached, reach

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.relative_to(ROOT) for path in (ROOT / "stages").glob("*.py"))


@cache
def _reached(*, without: tuple[str, ...] = HARMLESS) -> list[Reached]:
    return [reach(ROOT, script, behind=UNSEEN, without=without) for script in SCRIPTS]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_would_be_reached_if_it_were_not_on_the_list(name):
    others = tuple(other for other in HARMLESS if other != name)
    assert _reached(without=others) != _reached()


@pytest.mark.parametrize("name", UNSEEN)
def test_what_brings_more_than_the_walk_sees_is_reached_by_a_stage(name):
    raw = [reach(ROOT, script) for script in SCRIPTS]
    modules = {".".join(path.with_suffix("").parts[1:]) for reached in raw for path in reached.files}
    assert name in modules | {package for reached in raw for package in reached.packages}


@pytest.mark.parametrize(
    ("name", "behind"), [(name, behind) for name, several in UNSEEN.items() for behind in several]
)
def test_what_stands_behind_a_name_is_imported_by_it(name, behind):
    names = (imported for source in _sources(name, behind) for imported in imports(source, name))
    assert any(f"{imported}.".startswith(f"{behind}.") for imported in names)


def _sources(name: str, naming: str) -> Iterator[bytes]:
    """The files of a module or package that name another one, without a package's own tests."""
    spec = importlib.util.find_spec(name)
    folders = spec.submodule_search_locations
    for path in [Path(spec.origin)] if folders is None else Path(folders[0]).rglob("*.py"):
        source = path.read_bytes()
        if naming.encode() in source and "tests" not in path.parts and not path.stem.endswith("_test"):
            yield source


def test_a_module_is_imported_by_a_computed_name_in_one_place_only():
    """The walk cannot follow such an import. That of a cohort is known: each cohort has a file of its own."""
    assert {
        path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py") if _guesses(path)
    } == {"glassbox/cohorts/build.py"}


def _guesses(path: Path) -> bool:
    calls = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
    computed = [call for call in calls if not all(isinstance(name, ast.Constant) for name in call.args)]
    never = {"__import__", "run_path", "run_module", "exec", "eval", "entry_points"}
    return any(_name(call.func) == "import_module" for call in computed) or any(
        _name(call.func) in never for call in calls
    )


def _name(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def test_nothing_that_a_stage_reaches_reads_a_docstring():
    """Docstrings are no part of a digest."""
    for reached in _reached(without=()):
        for path in reached.files:
            if path.suffix == ".py":
                named = {_name(node) for node in ast.walk(ast.parse((ROOT / path).read_bytes()))}
                assert not named & {"__doc__", "getdoc", "getsource", "use_attribute_docstrings"}, path


def test_no_command_looks_for_modules_beside_the_script_of_its_stage():
    """TensorFlow, by way of `pdb`, would import `stages/code.py` for the standard library's `code`."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    commands = [stage.get("do", stage)["cmd"] for stage in stages]
    assert [command for command in commands if not command.startswith("PYTHONPATH=src python -P stages/")] == []
