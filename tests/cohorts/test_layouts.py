"""A cohort is one file of `glassbox.cohorts`, and the layout of a source is its name."""

import subprocess
import sys
from pathlib import Path

import pytest

from glassbox import cohorts
from glassbox.params import read, sources
from glassbox.params.read import ParamsError

REST = ["__init__", "build", "duplicates", "records"]
COHORTS = sorted({path.stem for path in Path(cohorts.__path__[0]).glob("*.py")} - {*REST})


def _source(**layout):
    films = {"kind": "archive", "path": "x.zip", "sha256": "0" * 64} | layout
    return read.parse(films, sources.AnySource, "params.yaml")


@pytest.mark.parametrize("layout", COHORTS)
def test_a_source_names_its_cohort(layout):
    assert _source(layout=layout).layout == layout


@pytest.mark.parametrize("layout", [*REST, "chexpert", "", "NIH", "nih.py", "../cohorts/nih"])
def test_what_is_no_cohort_is_refused_with_those_that_are(layout):
    with pytest.raises(ParamsError) as refusal:
        _source(layout=layout)
    assert refusal.value.found == (
        f"params.yaml: layout: found {layout!r}: no file of src/glassbox/cohorts/ with VOCABULARY "
        f"and tables; there are: {', '.join(COHORTS)}"
    )


def test_a_file_without_a_reader_or_without_words_is_no_cohort(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_COHORTS", tmp_path)
    words, reader = "VOCABULARY = None\n", "def tables():\n    pass\n"
    for name, text in {"clinic": words + reader, "words": words, "reader": reader}.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert _source(layout="clinic")
    for layout in ("words", "reader"):
        with pytest.raises(ParamsError, match=r"there are: clinic\n"):
            _source(layout=layout)


def test_a_source_without_a_layout_is_refused():
    """`dvc.yaml` names the cohort's file by it."""
    with pytest.raises(ParamsError) as refusal:
        _source()
    assert refusal.value.found == "params.yaml: layout: missing"


def test_parameters_are_checked_without_importing_a_cohort_or_pandas():
    code = (
        "import sys\n"
        "from glassbox.params import document\n"
        "document.load()\n"
        "assert not {'pandas', 'pyarrow', 'glassbox.cohorts'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
