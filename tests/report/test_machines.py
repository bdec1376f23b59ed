"""Which kinds of machine models were trained on, against those that git's HEAD has."""

import subprocess

import finished
import pytest

from glassbox.artifacts import machine
from glassbox.report import machines
from glassbox.report.comparison import compare
from glassbox.report.results import Result

ELSEWHERE = finished.MACHINE | {"vendor": "GenuineIntel", "vector_extensions": "avx avx2 avx512f fma"}


def said():
    return machines.changed([Result.read(key) for key in ("vgg", "resnet")])


def git(*arguments):
    who = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def committed(project):
    """A project whose measured files are in git; returns its parameters."""
    git("init", "-q")
    git("add", "metrics")
    git("commit", "-qm", "Measured")
    return project


def test_models_of_the_same_kind_of_machine_are_not_talked_about(committed):
    assert said() == ""


def test_another_kind_is_named_with_its_models_and_with_what_differs(committed, make):
    make.evaluated("resnet", trained_on=ELSEWHERE)
    assert said().startswith("resnet: trained on another kind of machine")
    assert "(vendor, vector extensions)" in said()
    assert "vgg" not in said()


def test_the_comparison_says_so_on_standard_error(committed, make, capsys):
    compare(committed)
    assert capsys.readouterr().err == ""
    make.evaluated("vgg", trained_on=ELSEWHERE)
    compare(committed)
    assert capsys.readouterr().err == f"{said()}\n"


def test_a_model_that_is_not_committed_yet_is_compared_with_nothing(project, make):
    git("init", "-q")
    assert said() == ""
    git("commit", "-q", "--allow-empty", "-m", "Start")
    assert said() == ""


def test_without_git_nothing_is_said(committed, make, monkeypatch):
    make.evaluated("vgg", trained_on=ELSEWHERE)
    monkeypatch.setenv("PATH", "")
    assert said() == ""


@pytest.mark.parametrize("content", ["<<<<<<< HEAD", "[]", '{"machine": 3}', '{"machine": [{}]}'])
def test_what_was_committed_by_mistake_is_compared_with_nothing(committed, make, content):
    machine.path("vgg").write_text(content)
    git("commit", "-qam", "A mistake")
    make.evaluated("vgg", trained_on=ELSEWHERE)
    assert said() == ""
