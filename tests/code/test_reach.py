"""A script reaches what its imports lead to: modules, the packages around them, and these packages' data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from glassbox.code.reach import imports, reach

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path("stages/x.py")


def names(source, package="a.b"):
    return set(imports(source.encode(), package))


# --- what one file can import ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import c", {"c"}),
        ("import c.d.e", {"c.d.e"}),
        ("import c.d as e, f", {"c.d", "f"}),
        ("from c import d", {"c.d"}),
        ("from c.d import e as f, g", {"c.d.e", "c.d.g"}),
        ("from c import *", {"c.*"}),
        ("from . import c", {"a.b.c"}),
        ("from .c import d", {"a.b.c.d"}),
        ("from .. import c", {"a.c"}),
        ("from ..c.d import e", {"a.c.d.e"}),
        ("from . import *", {"a.b.*"}),
        ("def f():\n import c", {"c"}),
        ("class A:\n async def f(self):\n  for x in y:\n   from c import d", {"c.d"}),
        ("try:\n import c\nexcept ImportError:\n import d\nelse:\n import e\nfinally:\n import f", {*"cdef"}),
        ("if x:\n import c\nelif y:\n import d\nelse:\n import e", {*"cde"}),
        ("with x:\n import c", {"c"}),
        ("match x:\n case 1:\n  import c", {"c"}),
        ("x = lambda: importlib.import_module('c.d')", {"c.d"}),
        ("import_module(name='c.d')", {"c.d"}),
        ("importlib.import_module('.c', __package__)", {"a.b.c"}),
        ("importlib.import_module(f'c.{d}')", set()),
        ("importlib.import_module(c)", set()),
        ("x = 'import c'", set()),
        ("# import c", set()),
        ("def", set()),
        ("\0", set()),
    ],
)
def test_every_way_to_import(source, found):
    assert names(source) == found


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING"])
def test_what_only_a_type_checker_reads_does_not_count_but_what_stands_beside_it_does(condition):
    source = f"if {condition}:\n import c\n def f():\n  import d\nelif x:\n import e\nelse:\n import f\nimport g"
    assert names(source) == {"e", "f", "g"}


def test_what_a_type_checker_does_not_read_counts():
    assert names("if not TYPE_CHECKING:\n import c") == {"c"}


def test_a_script_has_nothing_that_an_import_could_be_relative_to():
    assert names("from c import d", package="") == {"c.d"}


# --- the walk ----------------------------------------------------------------------------------------------


def files(root, **options):
    return {path.as_posix() for path in reach(root, SCRIPT, **options).files} - {"stages/x.py"}


def test_imports_are_followed_from_module_to_module(written):
    root = written(
        {
            "stages/x.py": "from p.a import f as g",
            "src/p/a.py": "def f():\n import p.b as b",
            "src/p/b.py": "from .q import c",
            "src/p/q/c.py": "from .. import a",
            "src/p/q/alone.py": "",
        }
    )
    assert files(root) == {"src/p/a.py", "src/p/b.py", "src/p/q/c.py"}
    assert reach(root, SCRIPT).files[-1] == SCRIPT, "the script itself is one of them"


def test_a_module_reaches_the_packages_around_it_unless_they_do_nothing(written):
    root = written(
        {
            "stages/x.py": "import p.q.r.a",
            "src/p/__init__.py": '"""Words."""\n# More.',
            "src/p/q/__init__.py": "from p import b",
            "src/p/q/r/__init__.py": "",
            "src/p/q/r/a.py": "",
            "src/p/b.py": "",
        }
    )
    assert files(root) == {"src/p/q/__init__.py", "src/p/q/r/a.py", "src/p/b.py"}


def test_a_name_from_a_package_may_be_a_module_or_not(written):
    root = written(
        {
            "stages/x.py": "from p import a, f",
            "src/p/__init__.py": "from .b import f\nfrom . import c",
            "src/p/a.py": "",
            "src/p/b.py": "",
            "src/p/c.py": "",
            "src/p/d.py": "",
        }
    )
    assert files(root) == {"src/p/__init__.py", "src/p/a.py", "src/p/b.py", "src/p/c.py"}


def test_everything_from_a_package_is_every_module_in_it(written):
    root = written(
        {
            "stages/x.py": "from p import *",
            "src/p/__init__.py": "__all__ = ['a', 'q']",
            "src/p/a.py": "",
            "src/p/q/__init__.py": "1",
            "src/p/q/deeper.py": "",
        }
    )
    assert files(root) == {"src/p/__init__.py", "src/p/a.py", "src/p/q/__init__.py"}


def test_of_a_module_and_a_package_of_one_name_python_imports_the_package(written):
    root = written(
        {
            "stages/x.py": "import p.a",
            "src/p/__init__.py": "",
            "src/p/a.py": "import p.wrong",
            "src/p/a/__init__.py": "import p.right",
            "src/p/wrong.py": "",
            "src/p/right.py": "",
        }
    )
    assert files(root) == {"src/p/a/__init__.py", "src/p/right.py"}


def test_a_module_reaches_the_data_of_its_own_package_and_of_those_around_it(written):
    root = written(
        {
            "stages/x.py": "import p.q.a",
            "src/p/__init__.py": "",
            "src/p/words.txt": "",
            "src/p/q/__init__.py": "",
            "src/p/q/a.py": "",
            "src/p/q/page.html.jinja": "",
            "src/p/q/templates/deep/part.jinja": "",
            "src/p/q/r/__init__.py": "",
            "src/p/q/r/OTHER.csv": "",
            "src/p/s/other.csv": "",
            "src/p/q/__pycache__/a.cpython-311.pyc": "",
            "src/p/q/.a.py.swp": "",
        }
    )
    assert files(root) == {
        *("src/p/words.txt", "src/p/s/other.csv"),
        *("src/p/q/a.py", "src/p/q/page.html.jinja", "src/p/q/templates/deep/part.jinja"),
    }


def test_a_project_in_a_hidden_folder_is_read_like_any_other(written):
    """There DVC runs an experiment of its queue."""
    root = written({".dvc/tmp/stages/x.py": "import p.a", ".dvc/tmp/src/p/a.py": ""}) / ".dvc/tmp"
    assert files(root) == {"src/p/a.py"}


def test_packages_are_told_from_the_standard_library_by_their_first_name(written):
    root = written(
        {
            "stages/x.py": "import os.path, code, json, numpy.linalg, xml\nfrom skimage.filters import sobel",
            "stages/code.py": "import wrong",
        }
    )
    assert reach(root, SCRIPT).packages == ("numpy", "skimage")
    assert files(root) == set()


def test_a_module_with_the_name_of_the_standard_librarys_is_found_in_its_package(written):
    root = written({"stages/x.py": "from p import code\nimport json", "src/p/code.py": "", "src/p/json.py": ""})
    assert files(root) == {"src/p/code.py"}


def test_a_walk_that_begins_at_a_module_begins_with_its_packages(written):
    root = written(
        {"src/p/__init__.py": "import p.a", "src/p/a.py": "", "src/p/b.py": "from . import c\nimport d"}
    )
    reached = reach(root, Path("src/p/b.py"))
    assert reached.files == (Path("src/p/__init__.py"), Path("src/p/a.py"), Path("src/p/b.py"))
    assert reached.packages == ("d",)


def test_a_start_that_is_gone_is_missed(written):
    with pytest.raises(FileNotFoundError):
        reach(written({}), SCRIPT)


def test_what_is_passed_over_is_not_walked_through_but_may_be_reached_otherwise(written):
    root = written(
        {
            "stages/x.py": "import p.quiet.a, p.b, loud.c, louder",
            "src/p/quiet/a.py": "import p.only_there, p.d, numpy",
            "src/p/only_there.py": "",
            "src/p/b.py": "from p import quiet\nimport p.d",
            "src/p/d.py": "",
            "src/p/quieter.py": "",
        }
    )
    reached = reach(root, SCRIPT, without=("p.quiet", "loud"))
    assert {path.name for path in reached.files} == {"x.py", "b.py", "d.py"}
    assert reached.packages == ("louder",)


def test_what_stands_behind_a_name_comes_with_whatever_is_imported_from_it(written):
    root = written(
        {
            "stages/x.py": "from keras.layers import Dense\nfrom p.a import f\nimport quiet",
            "src/p/a.py": "",
            "src/p/hidden.py": "import scipy",
        }
    )
    behind = {"keras": ("tensorflow",), "p.a": ("p.hidden",), "quiet": ("wrong",), "absent": ("wrong",)}
    reached = reach(root, SCRIPT, behind=behind, without=("quiet",))
    assert reached.packages == ("keras", "scipy", "tensorflow")
    assert {path.name for path in reached.files} == {"x.py", "a.py", "hidden.py"}


def test_a_walk_is_the_same_from_wherever_it_is_asked_for(written, monkeypatch):
    root = written({"stages/x.py": "import p.a", "src/p/a.py": ""})
    before = reach(root, SCRIPT)
    monkeypatch.chdir(root)
    assert reach(Path(), SCRIPT) == reach(Path("stages/.."), SCRIPT) == before


@pytest.mark.parametrize("stage", ["download", "catalog", "resize", "compare"])
def test_a_script_imports_nothing_that_the_walk_does_not_reach(stage):
    script = ROOT / "stages" / f"{stage}.py"
    command = (
        "import runpy, sys\n"
        f"runpy.run_path({str(script)!r})\n"
        "for name, module in sys.modules.items():\n"
        "    if name.partition('.')[0] == 'glassbox' and module.__file__: print(module.__file__)\n"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    imported = {Path(line).relative_to(ROOT) for line in done.stdout.split("\n") if line}
    assert len(imported) > 5
    empty = {path for path in imported if path.name == "__init__.py"}
    assert imported - empty <= set(reach(ROOT, Path("stages", script.name)).files)
