"""Whatever is changed of what a model was made from, its audit fails and says where."""

import random

import pytest
import recorded
from tampering import KINDS, Forger

from glassbox.errors import GlassboxError
from glassbox.lineage.audit import audit
from glassbox.lineage.link import Verdict


def judged():
    """Whether the project in the current folder passes, and everything that is said of what is not verified."""
    try:
        done = audit(recorded.MODEL, recorded.Path.cwd())
    except GlassboxError as error:
        return False, str(error)
    bad = [link for link in done.links if link.verdict != Verdict.VERIFIED]
    return done.passed, "\n".join(f"{link.name}: {link.found}; {link.expected}" for link in bad)


@pytest.fixture(scope="module")
def project(tmp_path_factory, recorded_once):
    """A copy of the recorded project, in which tests undo what they do; the working directory."""
    with recorded.inside(recorded.copy(recorded_once, tmp_path_factory.mktemp("tampering") / "project")):
        yield


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trials", [range(3), pytest.param(range(3, 49), marks=pytest.mark.long)])
def test_what_is_tampered_with_is_found_and_named(project, kind, trials):
    slipped = []
    for trial in trials:
        with Forger(random.Random(f"{kind} {trial}")) as forger:  # noqa: S311 (no secret)
            what, places = getattr(forger, kind)()
            passed, said = judged()
        if passed or not any(place in said for place in places):
            slipped.append((trial, what, places, said))
    assert slipped == []


def test_a_project_in_which_everything_was_undone_passes(project):
    assert judged() == (True, "")
