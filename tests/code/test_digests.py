"""Another line of code changes the digests of what reaches it; another sentence changes none."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
import yaml

from glassbox.artifacts import code
from glassbox.code import cohorts, digests

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def before() -> dict[str, code.Code]:
    return digests.digests(ROOT)


@pytest.fixture
def copy(tmp_path):
    """The project's code and lock in a folder of their own."""
    for folder in ("src", "stages"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "uv.lock", tmp_path)
    return tmp_path


def _changed(root: Path, before: dict[str, code.Code]) -> set[str]:
    after = digests.digests(root)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_stage_and_every_cohort_has_its_code_and_so_have_the_pixels(before):
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) - {code.STAGE}
    assert set(before) == stages | {"cohorts.kermany", "cohorts.nih", "pixels"}


def test_a_copy_elsewhere_has_the_same(copy, before):
    assert _changed(copy, before) == set()
    assert str(ROOT) not in repr(before)


def test_another_sentence_changes_nothing(copy, before):
    for path in (copy / "src").rglob("*.py"):
        if path.stat().st_size:
            _replace(path, '"""', '"""Once more: ')
            path.write_text(path.read_text(encoding="utf-8") + "\n# The end.\n", encoding="utf-8")
    assert _changed(copy, before) == set()


@pytest.mark.parametrize("module", ["area", "article", "decode", "kernels", "png"])
def test_another_line_that_makes_pixels_changes_them_and_the_stages_that_make_some(copy, before, module):
    path = copy / f"src/glassbox/shards/{module}.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")
    changed = _changed(copy, before)
    assert {"pixels", "resize"} <= changed
    assert not changed & {"download", "catalog", "split", "evaluate", "choose", "compare", "cohorts.nih"}


def test_another_line_of_a_cohort_changes_that_cohort_alone(copy, before):
    path = copy / "src/glassbox/cohorts/nih.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")
    assert _changed(copy, before) == {"cohorts.nih"}


def test_another_word_on_the_page_changes_the_stage_that_writes_it(copy, before):
    _replace(copy / "src/glassbox/report/comparison.html.jinja", "<", "<!-- one more --><")
    assert _changed(copy, before) == {"compare"}


def test_another_line_of_a_script_changes_its_stage(copy, before):
    path = copy / "stages/split.py"
    path.write_text(path.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")
    assert _changed(copy, before) == {"split"}


def test_another_version_in_the_lock_changes_what_computes_with_it(copy, before):
    version = before["resize"].packages["h5py"]
    _replace(copy / "uv.lock", f'name = "h5py"\nversion = "{version}"', 'name = "h5py"\nversion = "9.9"')
    users = {name for name, found in before.items() if "h5py" in found.packages}
    assert _changed(copy, before) == users
    assert {"resize", "pixels", "predict"} <= users
    assert not users & {"evaluate", "compare", "catalog"}


def test_what_only_watches_changes_nothing(copy, before):
    for module in ("doors", "tracking/run", "tracking/mirror"):
        path = copy / f"src/glassbox/{module}.py"
        path.write_text(path.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")
    assert _changed(copy, before) == set()


def test_a_cohort_of_ones_own_has_its_code(copy, before):
    (copy / "src/glassbox/cohorts/clinic.py").write_text("import pandas\nVOCABULARY = 1\ndef tables(): ...\n")
    assert _changed(copy, before) == {"cohorts.clinic"}


def test_the_stage_that_digests_has_no_digest(copy, before):
    (copy / "stages/code.py").write_text("import glassbox.code.digests\n")
    assert _changed(copy, before) == set()


def test_a_module_is_listed_with_slashes_and_a_digest_and_the_lists_are_sorted(before):
    for found in before.values():
        assert list(found.modules) == sorted(found.modules)
        assert list(found.packages) == sorted(found.packages)
        assert all((ROOT / module).is_file() and "\\" not in module for module in found.modules)


def test_the_pixels_are_part_of_what_makes_shards(before):
    assert before["pixels"].modules.items() <= before["resize"].modules.items()
    assert "src/glassbox/shards/kernels.py" in before["pixels"].modules
    assert {"deflate", "numba", "opencv-python-headless", "scikit-image"} <= before["pixels"].packages.keys()


def test_all_that_is_written_is_read_as_it_was_found(copy, before):
    digests.write_all(copy)
    assert {path.stem for path in (copy / "data/code").iterdir()} == before.keys()
    assert {name: code.read(name, copy) for name in before} == before


def test_cohorts_are_the_modules_with_words_and_a_reader():
    folder = ROOT / "src/glassbox/cohorts"
    modules = {
        path.stem: importlib.import_module(f"glassbox.cohorts.{path.stem}") for path in folder.glob("[!_]*.py")
    }
    whole = sorted(name for name, module in modules.items() if {"VOCABULARY", "tables"} <= vars(module).keys())
    assert cohorts.names(folder) == whole


def test_a_module_that_only_speaks_of_words_and_readers_is_no_cohort(written):
    root = written(
        {
            "both.py": "VOCABULARY: int = 1\n\n\ndef tables(a, b):\n    pass\n",
            "words.py": "VOCABULARY = 1\n",
            "reader.py": "def tables(): ...\n",
            "speaks.py": '"""\nVOCABULARY and\ntables are elsewhere.\n"""\n',
            "inner.py": "def f():\n    VOCABULARY = 1\n    def tables(): ...\n",
        }
    )
    assert cohorts.names(root) == ["both"]
