"""Another line of code changes the digests of what reaches it; another sentence changes none."""

from __future__ import annotations

import ast
import importlib.util
import shutil
from functools import cache
from pathlib import Path

import pytest
import yaml

from glassbox.artifacts import code
from glassbox.code import digests
from glassbox.code.digests import HARMLESS, UNSEEN
from glassbox.code.reach import imports, reach

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.relative_to(ROOT) for path in (ROOT / "stages").glob("*.py"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def before():
    """The code of this project, by what depends on it."""
    return digests.digests(ROOT)


@pytest.fixture
def copy(tmp_path):
    """The project's code and lock in a folder of their own."""
    for folder in ("src", "stages"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "uv.lock", tmp_path)
    return tmp_path


def changed(root, before):
    """The names whose code is another one there."""
    after = digests.digests(root)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def append(path, line):
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")


def test_every_stage_and_every_cohort_has_its_code_and_so_have_the_pixels_and_a_cell(before):
    assert set(before) == (set(STAGES) - {code.STAGE}) | {"cohorts.kermany", "cohorts.nih", "pixels", "cell"}


def test_a_copy_elsewhere_has_the_same(copy, before):
    assert changed(copy, before) == set()
    assert str(ROOT) not in repr(before)


def test_another_sentence_changes_nothing(copy, before):
    for path in (copy / "src").rglob("*.py"):
        if path.stat().st_size:
            replace(path, '"""', '"""Once more: ')
            append(path, "# The end.")
    assert changed(copy, before) == set()


def test_another_line_that_makes_pixels_changes_them_and_the_stages_that_make_some(copy, before):
    modules = [name for name in before["pixels"].modules if name.startswith("src/glassbox/shards/")]
    assert len(modules) > 2
    for module in modules:
        append(copy / module, "MORE = 1")
        others = changed(copy, before)
        assert {"pixels", "resize"} <= others, module
        assert not others & {"download", "catalog", "split", "evaluate", "compare", "cohorts.nih"}, module
        shutil.copy(ROOT / module, copy / module)


def test_another_line_of_a_cohort_changes_that_cohort_alone(copy, before):
    append(copy / "src/glassbox/cohorts/nih.py", "MORE = 1")
    assert changed(copy, before) == {"cohorts.nih"}


def test_another_word_on_the_page_changes_the_stage_that_writes_it(copy, before):
    (page,) = (copy / "src/glassbox/report").glob("*.html.jinja")
    replace(page, "<", "<!-- one more --><")
    assert changed(copy, before) == {"compare"}


def test_another_line_of_a_script_changes_its_stage(copy, before):
    append(copy / "stages/split.py", "MORE = 1")
    assert changed(copy, before) == {"split"}


def test_another_version_in_the_lock_changes_what_computes_with_it(copy, before):
    version = before["resize"].packages["h5py"]
    replace(copy / "uv.lock", f'name = "h5py"\nversion = "{version}"', 'name = "h5py"\nversion = "9.9"')
    users = {name for name, found in before.items() if "h5py" in found.packages}
    assert changed(copy, before) == users
    assert {"resize", "pixels", "predict"} <= users
    assert not users & {"evaluate", "compare", "catalog"}


def test_what_only_watches_changes_nothing(copy, before):
    for path in [copy / "src/glassbox/stage.py", *(copy / "src/glassbox/tracking").glob("*.py")]:
        append(path, "MORE = 1")
    assert changed(copy, before) == set()


def test_a_cohort_of_ones_own_has_its_code(copy, before):
    (copy / "src/glassbox/cohorts/clinic.py").write_text("import pandas\nVOCABULARY = 1\ndef tables(): ...\n")
    assert changed(copy, before) == {"cohorts.clinic"}


def test_the_stage_that_digests_has_no_digest(copy, before):
    (copy / "stages/code.py").write_text("import glassbox.code.digests\n")
    assert changed(copy, before) == set()


def test_modules_have_slashes_and_all_lists_are_sorted(before):
    for found in before.values():
        assert list(found.modules) == sorted(found.modules)
        assert list(found.packages) == sorted(found.packages)
        assert all((ROOT / module).is_file() and "\\" not in module for module in found.modules)


def test_how_cells_are_dealt_out_to_workers_is_no_part_of_what_trains_one(before):
    assert before["cell"].modules.items() <= before["grid"].modules.items()
    assert "src/glassbox/training/phases.py" in before["cell"].modules
    assert not {"src/glassbox/grids/train.py", "src/glassbox/cluster.py"} & before["cell"].modules.keys()


def test_the_pixels_are_part_of_what_makes_shards(before):
    assert before["pixels"].modules.items() <= before["resize"].modules.items()
    assert {"deflate", "numba", "opencv-python-headless", "scikit-image"} <= before["pixels"].packages.keys()


def test_all_that_is_written_is_read_as_it_was_found(copy, before):
    digests.write_all(copy)
    assert {path.stem for path in (copy / "data/code").iterdir()} == before.keys()
    assert {name: code.read(name, copy) for name in before} == before


# --- where the walk is corrected ---------------------------------------------------------------------------


@cache
def reached(without=HARMLESS):
    """What each script reaches."""
    return [reach(ROOT, script, behind=UNSEEN, without=without) for script in SCRIPTS]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_would_be_reached_if_it_were_not_on_the_list(name):
    assert reached(tuple(other for other in HARMLESS if other != name)) != reached()


@pytest.mark.parametrize(
    ("name", "behind"), [(name, behind) for name, several in UNSEEN.items() for behind in several]
)
def test_what_stands_behind_a_package_is_imported_by_it_and_a_stage_reaches_the_package(name, behind):
    assert any(name in reach(ROOT, script).packages for script in SCRIPTS)
    found = (imported for source in sources(name, behind) for imported in imports(source, name))
    assert any(f"{imported}.".startswith(f"{behind}.") for imported in found)


def sources(package, naming):
    """The files of a package that name another one, without its own tests."""
    (folder,) = importlib.util.find_spec(package).submodule_search_locations
    for path in Path(folder).rglob("*.py"):
        source = path.read_bytes()
        if naming.encode() in source and "tests" not in path.parts and not path.stem.endswith("_test"):
            yield source


def nodes(path):
    return ast.walk(ast.parse(path.read_bytes()))


def name_of(node):
    return getattr(node, "attr", "") or getattr(node, "id", "")


def test_a_module_is_imported_by_a_computed_name_in_one_place_only():
    """The walk cannot follow such an import. That of a cohort is known: each cohort has a file of its own."""
    never = {"__import__", "run_path", "run_module", "exec", "eval", "entry_points"}
    guessing = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Call)
        if name_of(node.func) in never
        or (
            name_of(node.func) == "import_module" and not all(isinstance(name, ast.Constant) for name in node.args)
        )
    }
    assert guessing == {"glassbox/catalogs/build.py"}


def test_nothing_that_a_stage_reaches_reads_a_docstring():
    """Docstrings are no part of a digest."""
    for path in {ROOT / path for found in reached(()) for path in found.files if path.suffix == ".py"}:
        found = {name_of(node) for node in nodes(path)}
        assert not found & {"__doc__", "getdoc", "getsource", "use_attribute_docstrings"}, path


def test_no_command_looks_for_modules_beside_the_script_of_its_stage():
    """TensorFlow, by way of `pdb`, would import `stages/code.py` for the standard library's `code`."""
    for name, stage in STAGES.items():
        assert stage.get("do", stage)["cmd"].startswith("PYTHONPATH=src python -P stages/"), name
