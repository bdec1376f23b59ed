"""The `glassbox` command: what a user types, and that a mistake ends in one message and status 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from glassbox import cli

ROOT = Path(__file__).parents[1]
#: The console script that the installation makes.
GLASSBOX = Path(sys.executable).with_name("glassbox")


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_use_composes_the_params_and_says_what_they_hold(project):
    result = CliRunner().invoke(cli.main, ["use", "smoke", "sources.phantom.patients=9"])
    assert result.exit_code == 0
    assert result.output.startswith("params.yaml: profile smoke, experiments infiltration_vgg16, ")
    assert "patients: 9\n" in (project / "params.yaml").read_text()


def test_a_mistake_ends_with_status_1_and_one_message_on_stderr(project):
    (project / "params.yaml").write_text("profile: old\n")
    result = subprocess.run(
        [GLASSBOX, "use", "demo", "datasets.x.size=3"], check=False, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("glassbox use: profile demo with datasets.x.size=3: ")
    assert result.stderr.splitlines()[-1] == "  next: look at conf/profile/demo.yaml and what it mounts"
    assert "Traceback" not in result.stderr
    assert (project / "params.yaml").read_text() == "profile: old\n"


@pytest.mark.parametrize("words", [["sue", "demo"], ["use"], ["sweep", "x", "a=1,2", "--trials=none"]])
def test_a_wrong_command_line_ends_with_status_1_too(words, project):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 1
    assert "Usage: " in result.stderr


def test_a_command_that_needs_the_params_says_which_command_makes_them(project):
    result = CliRunner().invoke(cli.main, ["track"])
    assert result.exit_code == 1
    assert "params.yaml is not there" in result.output
    assert "run `glassbox use demo`" in result.output
    assert not (project / "mlflow.db").exists()


def test_help_names_every_command_with_what_it_does():
    result = CliRunner().invoke(cli.main, ["--help"])
    assert result.exit_code == 0
    for name, command in cli.main.commands.items():
        assert name in result.output
        assert command.help
