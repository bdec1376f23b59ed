"""The compiled loops: had once a machine, and done without where they cannot be had."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import glassbox

_LOAD = """
from glassbox.shards import compiled
kernels, reason = compiled.load()
for loop in (kernels.unfilter, kernels.area_mean):
    assert len(loop.stats.cache_hits) + len(loop.stats.cache_misses) == 1
print(kernels.__file__, not kernels.unfilter.stats.cache_misses and not kernels.area_mean.stats.cache_misses)
"""


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of this program in which nothing was compiled, for processes of its own; its folder `shards`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "copy"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    source = Path(glassbox.__file__).parent
    return (
        shutil.copytree(source, tmp_path / "copy/glassbox", ignore=shutil.ignore_patterns("__pycache__"))
        / "shards"
    )


@pytest.mark.long
def test_the_loops_are_compiled_once_and_found_by_every_later_process(copy):
    found = []
    for _ in range(2):
        said = subprocess.run([sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True, cwd="/")
        file, cached = said.stdout.split()
        assert Path(file) == copy / "kernels.py"
        found.append(cached)
    assert found == ["False", "True"]


# --- where they cannot be had ------------------------------------------------------------------------------


@pytest.fixture
def without_numba(tmp_path, monkeypatch):
    """Processes find a Numba that cannot be imported."""
    numba = tmp_path / "path/numba/__init__.py"
    numba.parent.mkdir(parents=True)
    numba.write_text("raise ImportError('libllvmlite.so: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", f"{numba.parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return "ImportError: libllvmlite.so: cannot open shared object file"


@pytest.fixture
def without_a_cache(copy, tmp_path, monkeypatch):
    """Processes can keep compiled loops neither beside their source nor in their user's cache."""
    (copy / "__pycache__").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(copy / "__pycache__/cache"))
    return f"RuntimeError: cannot cache function 'unfilter': no locator available for file '{copy / 'kernels.py'}'"


@pytest.fixture
def contents(png, film, noise):
    """Images of every way that pixels take, some of them damaged."""
    grey = {f"{number:02d}.png": png(film(number), 0, filters=(4, 3, 2, 1, 0)) for number in range(4)}
    return grey | {
        "rgba.png": png(noise(40, 50, 4), 6, filters=(4,)),
        "deep.png": png(noise(40, 50, dtype="u2"), 0),
        "low.png": png(film(9, 8, 300), 0),
        "long.png": png(film(8), 0, rows=lambda rows: rows + b"\0"),
        "short.png": png(film(7), 0, rows=lambda rows: rows[:-1]),
        "filter.png": png(film(6), 0, rows=lambda rows: b"\x07" + rows[1:]),
        "sum.png": png(film(5), 0, stream=lambda stream: stream[:-1] + b"\0"),
        "method.png": png(film(4), 0, header={"compression": 1}),
    }


@pytest.mark.parametrize("lack", ["without_numba", pytest.param("without_a_cache", marks=pytest.mark.long)])
def test_where_they_cannot_be_had_there_are_none_and_a_reason(lack, copy, request):
    reason = request.getfixturevalue(lack)
    ask = "from glassbox.shards import compiled; print(*compiled.load())"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd="/")
    assert (said.stdout, said.stderr) == (f"None {reason}\n", "")


def test_the_same_shards_are_built_without_compiled_loops_and_why_is_said(contents, project, capfd, request):
    project.prepare(contents)
    project.build(rejected_share=0.5)
    assert "compiled" not in capfd.readouterr().err
    expected = project.bytes()
    shutil.rmtree(project.shards)
    request.getfixturevalue("without_compiler")
    project.build(rejected_share=0.5)
    said = "small: the same pixels, but slowly: there are no compiled loops here (none here)\n"
    assert said in capfd.readouterr().err
    assert project.bytes() == expected
