import json

import pytest

from glassbox.errors import ModelError
from glassbox.learning import cells
from glassbox.learning.cells import Cell
from glassbox.learning.choice import applied

FIRST = {"images": 40, "all_but_last": 2, "val_accuracy": 0.71, "majority_accuracy": 0.6}
SECOND = {"images": 20, "all_but_last": 5, "val_accuracy": 0.7, "majority_accuracy": 0.6}
PATH = "data/choices/squares.json"


@pytest.fixture
def chosen(make, tmp_path, monkeypatch):
    """Parameters of an experiment that takes a rank of what a grid wrote: this text, or these cells."""
    monkeypatch.chdir(tmp_path)

    def chosen(written, rank=1):
        text = written if isinstance(written, str) else json.dumps(written)
        (tmp_path / PATH).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / PATH).write_text(text)
        parsed = make.parameters(x=make.experiment(), other=make.experiment())
        experiment = parsed.experiments["x"]
        choice = experiment.choice.model_copy(update={"file": tmp_path / PATH, "rank": rank})
        taking = experiment.model_copy(update={"choice": choice})
        return parsed.model_copy(update={"experiments": {**parsed.experiments, "x": taking}})

    return chosen


@pytest.mark.parametrize(("rank", "cell"), [(1, FIRST), (2, SECOND)])
def test_a_choice_replaces_the_images_and_the_frozen_layers_and_nothing_else(chosen, rank, cell):
    before = chosen([FIRST, SECOND], rank)
    after = applied(before, "x")
    assert after.experiments["x"].training.images == cell["images"]
    assert after.phase("x", "fine_tune").freeze == "nothing", "the weights are random"
    assert after.experiments["x"].fine_tune.freeze.all_but_last == cell["all_but_last"]
    assert after.experiments["other"] == before.experiments["other"]
    own = before.experiments["x"]
    back = after.experiments["x"].model_copy(
        update={
            "training": after.experiments["x"].training.model_copy(update={"images": own.training.images}),
            "fine_tune": after.experiments["x"].fine_tune.model_copy(update={"freeze": own.fine_tune.freeze}),
        }
    )
    assert back == own
    assert after.model_copy(update={"experiments": before.experiments}) == before


def test_where_nothing_is_chosen_the_recipes_own_settings_stand(chosen):
    params = chosen([])
    assert applied(params, "x") == params


def test_the_file_of_no_choice_is_in_the_project_and_holds_none(make, pytestconfig, monkeypatch):
    monkeypatch.chdir(pytestconfig.rootpath)
    params = make.parameters(x=make.experiment())
    assert applied(params, "x") == params


@pytest.mark.parametrize(
    ("written", "rank", "found"),
    [
        ([FIRST, SECOND], 3, "experiments.x.choice.rank: 3 of 2 in "),
        ("{", 1, "squares.json is no choice: Invalid JSON"),
        (FIRST, 1, "squares.json is no choice: Input should be a valid array"),
        ([{"images": 40}], 1, "squares.json is no choice: 0.all_but_last: Field required"),
        (
            [FIRST, SECOND | {"images": 0}],
            1,
            "squares.json is no choice: 1.images: Input should be greater than 0",
        ),
        ([FIRST | {"colour": 1}], 1, "squares.json is no choice: 0.colour: Extra inputs are not permitted"),
    ],
)
def test_a_rank_that_is_not_there_and_a_broken_file_are_refused(chosen, written, rank, found):
    with pytest.raises(ModelError) as refusal:
        applied(chosen(written, rank), "x")
    assert found in refusal.value.found
    assert refusal.value.found.startswith("experiments.x.choice.")
    assert refusal.value.expected
    assert refusal.value.action


def test_a_file_that_is_not_there_is_left_to_the_door_of_the_stage(chosen):
    params = chosen([FIRST])
    params.experiments["x"].choice.file.unlink()
    with pytest.raises(FileNotFoundError):
        applied(params, "x")


def test_cells_are_read_from_a_table_as_they_were_written(tmp_path):
    written = [Cell(**FIRST), Cell(**SECOND | {"val_accuracy": 0.123457, "majority_accuracy": 0.3})]
    cells.write(written, tmp_path / "cells.csv")
    assert (tmp_path / "cells.csv").read_text() == (
        "images,all_but_last,val_accuracy,majority_accuracy,relative\n"
        "40,2,0.71,0.6,0.11\n"
        "20,5,0.123457,0.3,-0.176543\n"
    )
    assert cells.read(tmp_path / "cells.csv") == written
