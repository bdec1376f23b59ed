"""A cohort is one module of `glassbox.cohorts`, and the layout of a source is its name."""

import subprocess
import sys
from pathlib import Path

import pytest

from glassbox.params import read, sources
from glassbox.params.read import ParamsError

COHORTS = ["kermany", "nih"]


def _source(**layout):
    films = {"kind": "archive", "path": "x.zip", "sha256": "0" * 64} | layout
    return read.parse(films, sources.AnySource, "params.yaml")


@pytest.mark.parametrize("layout", COHORTS)
def test_a_source_names_its_cohort(layout):
    assert _source(layout=layout).layout == layout


@pytest.mark.parametrize("layout", ["chexpert", "", "NIH", "nih.py", "__init__", "../cohorts/nih"])
def test_what_is_no_cohort_is_refused_with_those_that_are(layout):
    with pytest.raises(ParamsError) as refusal:
        _source(layout=layout)
    assert refusal.value.found == (
        f"params.yaml: layout: found {layout!r}: no module of src/glassbox/cohorts/; "
        f"there are: {', '.join(COHORTS)}"
    )


def test_a_source_without_a_layout_is_refused():
    """`dvc.yaml` names the cohort's module by it."""
    with pytest.raises(ParamsError) as refusal:
        _source()
    assert refusal.value.found.startswith("params.yaml: layout: missing")


def test_parameters_are_checked_without_importing_a_cohort_or_pandas():
    code = (
        "import sys\n"
        "from glassbox.params import document\n"
        "document.load()\n"
        "assert not {'pandas', 'pyarrow', 'glassbox.cohorts'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
