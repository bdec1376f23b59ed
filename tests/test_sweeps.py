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
from glassbox.errors import ParamsError
from glassbox.sweeps import Draw

ROOT = Path(__file__).parents[1]
RATE = "fine_tune.optimizer.learning_rate"
PLACE = f"experiments.infiltration_vgg16.{RATE}"


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have queued something."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    return commands


def test_one_seed_draws_the_same_trials_and_another_seed_others() -> None:
    draws = [Draw.of(f"{RATE}=1e-4..1e-2"), Draw.of("training.batch_size=16,32,64")]
    one = sweeps.trials("infiltration_vgg16", draws, 20, 7)
    assert one == sweeps.trials("infiltration_vgg16", draws, 20, 7)
    assert one != sweeps.trials("infiltration_vgg16", draws, 20, 8)
    assert [set(trial) for trial in one] == [{PLACE, "experiments.infiltration_vgg16.training.batch_size"}] * 20


def test_the_logarithm_of_a_range_is_drawn_evenly_and_choices_are_equally_likely() -> None:
    draws = [Draw.of(f"{RATE}=1e-4..1e-2"), Draw.of("training.batch_size=16,32")]
    trials = sweeps.trials("x", draws, 2000, 1)
    rates = [float(trial[f"experiments.x.{RATE}"]) for trial in trials]
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-2
    assert 0.47 < sum(rate < 1e-3 for rate in rates) / len(rates) < 0.53
    assert 0.47 < sum(trial["experiments.x.training.batch_size"] == "16" for trial in trials) / 2000 < 0.53


@pytest.mark.parametrize(
    "text", ["", "rate", "rate=", "rate=1,,2", "rate=1e-2..1e-4", "rate=0..1", "rate=a..b", "rate=1..inf", "=1,2"]
)
def test_what_nothing_can_be_drawn_from_is_refused(text: str) -> None:
    with pytest.raises(ParamsError) as refusal:
        Draw.of(text)
    assert refusal.value.found == f"cannot draw from {text!r}"
    assert "KEY=LOW..HIGH" in refusal.value.expected


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("fine_tune.optimizer.lr=1e-4..1e-2", f"has no {PLACE.removesuffix('learning_rate')}lr"),
        ("training.seed.deep=1,2", "has no experiments.infiltration_vgg16.training.seed.deep"),
        (f"{RATE}=0.1,-0.1", f"{RATE}: found -0.1: Input should be greater than 0"),
    ],
)
def test_one_trial_that_is_not_valid_keeps_all_from_being_queued(
    queued: list[list[str]], monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(ParamsError, match=re.escape(says)):
        sweeps.queue(Path("params.yaml"), "infiltration_vgg16", [Draw.of(key)], count=12, seed=0)
    assert queued == []


def test_each_trial_is_queued_under_a_name_with_its_values_up_to_its_evaluation(
    queued: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(
        cli.main,
        [
            "sweep",
            "infiltration_vgg16",
            f"{RATE}=1e-4..1e-2",
            "training.batch_size=16,32",
            "--trials=3",
            "--seed=5",
        ],
    )
    assert done.exit_code == 0, done.output
    drawn = sweeps.trials(
        "infiltration_vgg16", [Draw.of(f"{RATE}=1e-4..1e-2"), Draw.of("training.batch_size=16,32")], 3, 5
    )
    for number, (command, trial) in enumerate(zip(queued, drawn, strict=True)):
        assert command[:6] == [sys.executable, "-m", "dvc", "exp", "run", "--queue"]
        assert command[6:8] == ["-n", f"infiltration-vgg16-5-{number}"]
        assert command[8:-1] == [word for place, value in trial.items() for word in ("-S", f"{place}={value}")]
        assert command[-1] == "evaluate@infiltration_vgg16"
    assert [line.split(", ")[0] for line in done.output.splitlines()] == [
        f"learning_rate {trial[PLACE]}" for trial in drawn
    ]


def test_what_is_drawn_is_a_value_that_yaml_reads_as_a_number() -> None:
    for trial in sweeps.trials("x", [Draw.of(f"{RATE}=1e-7..1e-5")], 50, 3):
        assert isinstance(float(yaml.safe_load(trial[f"experiments.x.{RATE}"])), float)
