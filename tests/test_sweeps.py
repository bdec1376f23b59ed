"""A random search is drawn by its seed, checked as a whole before anything is queued, and queued with DVC."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from glassbox import cli, sweeps
from glassbox.params.read import ParamsError
from glassbox.sweeps import Draw

ROOT = Path(__file__).parents[1]
RATE = "fine_tune.optimizer.learning_rate"
#: DVC refuses to queue it.
REFUSED = "evaluate@pneumonia_resnet50"
DRAWS = [f"{RATE}=1e-4..1e-2", "training.batch_size=16,32"]


def trials(count, seed):
    return sweeps.trials("infiltration_vgg16", [Draw.of(draw) for draw in DRAWS], count, seed)


@pytest.fixture
def queued(monkeypatch):
    """The commands that would have queued something from the demo's parameters."""
    commands = []
    monkeypatch.chdir(ROOT)

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 255 if command[-1] == REFUSED else 0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_one_seed_draws_the_same_trials_and_another_seed_others():
    one = trials(20, 7)
    assert one == trials(20, 7)
    assert one != trials(20, 8)
    assert all(
        list(trial) == [f"experiments.infiltration_vgg16.{draw.split('=')[0]}" for draw in DRAWS] for trial in one
    )


def test_the_logarithm_of_a_range_is_drawn_evenly_and_choices_are_equally_likely():
    drawn = [list(trial.values()) for trial in trials(2000, 1)]
    # As params.yaml reads them.
    rates = [float(yaml.safe_load(rate)) for rate, _ in drawn]
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-2
    assert 0.47 < sum(rate < 1e-3 for rate in rates) / len(rates) < 0.53
    assert 0.47 < sum(size == "16" for _, size in drawn) / len(drawn) < 0.53


@pytest.mark.parametrize(
    "text", ["", "rate", "rate=", "rate=1,,2", "rate=1e-2..1e-4", "rate=0..1", "rate=a..b", "rate=1..inf", "=1,2"]
)
def test_what_nothing_can_be_drawn_from_is_refused(text):
    with pytest.raises(ParamsError, match=re.escape(f"cannot draw from {text!r}")) as refusal:
        Draw.of(text)
    assert "KEY=LOW..HIGH" in refusal.value.expected


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        ("fine_tune.optimizer.lr=1e-4..1e-2", "has no experiments.infiltration_vgg16.fine_tune.optimizer.lr"),
        ("training.seed.deep=1,2", "has no experiments.infiltration_vgg16.training.seed.deep"),
        (f"{RATE}=0.1,-0.1", f"{RATE}: found -0.1; "),
        ("weights=phantoms,none", "experiments.infiltration_vgg16.weights names 'none'; there are: phantoms"),
    ],
)
def test_one_trial_that_is_not_valid_keeps_all_from_being_queued(queued, draw, says):
    with pytest.raises(ParamsError, match=re.escape(says)):
        sweeps.queue("infiltration_vgg16", [Draw.of(draw)], count=12, seed=0)
    assert queued == []


def test_each_trial_is_queued_under_a_name_with_its_values_up_to_its_evaluation(queued):
    done = CliRunner().invoke(cli.main, ["sweep", "infiltration_vgg16", *DRAWS, "--trials=3", "--seed=5"])
    assert done.exit_code == 0, done.output
    drawn = trials(3, 5)
    assert queued == [
        [
            *(sys.executable, "-m", "dvc", "exp", "run", "--queue", "-n", f"infiltration-vgg16-5-{number}"),
            *(word for place, value in trial.items() for word in ("-S", f"{place}={value}")),
            "evaluate@infiltration_vgg16",
        ]
        for number, trial in enumerate(drawn)
    ]
    assert done.output.splitlines() == [
        "learning_rate {}, batch_size {}".format(*trial.values()) for trial in drawn
    ]


def test_what_dvc_refuses_to_queue_ends_the_search_with_one_message(queued):
    done = CliRunner().invoke(cli.main, ["sweep", "pneumonia_resnet50", *DRAWS])
    assert done.exit_code == 1
    assert "ended with status 255; 0 of 8 trials are queued" in done.output
    assert len(queued) == 1


def test_without_parameters_the_command_that_makes_them_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.main, ["sweep", "infiltration_vgg16", *DRAWS])
    assert done.exit_code == 1
    assert "run `glassbox use demo`" in done.output
