"""A recipe: all that an experiment's parameters imply, a grid's choice and thawed backbones included."""

from __future__ import annotations

import builders
import pytest

from glassbox import recipes
from glassbox.artifacts import cells, recipe
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.experiment import resolved
from glassbox.params.experiments import PHASES, AllButLastLayers
from glassbox.params.read import ParamsError

KEPT = {"kept": {"kind": "file", "backbone": "compact", "path": "kept.weights.h5", "sha256": "1" * 64}}
FREEZES = {
    "everything": "everything",
    "first": {"first": 2},
    "all_but_last": {"all_but_last": 0},
    "all_but_batch_normalisation": "all_but_batch_normalisation",
}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def resolve(**changes):
    """The recipe of an experiment that differs so from the common one: what each phase and the whole say."""
    values = builders.document(weights=KEPT, experiments={"small": builders.experiment(**changes)})
    builders.resolve(values)
    return {name: recipe.phase("small", name) for name in PHASES}, resolved("small")


def files():
    """Consumer -> the bytes of its file."""
    return {path.stem: path.read_bytes() for path in recipe.folder("small").iterdir()}


def test_every_stage_that_follows_has_a_file_of_what_it_needs():
    phases, whole = resolve(weights="kept")
    assert set(files()) == {"warm_start", "fine_tune", "predict", "evaluate", "experiment"}
    for name, phase in phases.items():
        assert phase.phase == getattr(whole.settings, name)
        assert (phase.task, phase.dataset, phase.weights) == ("binary", "films_32", "kept")
    assert whole.source.patients == 50


@pytest.mark.parametrize(
    ("changes", "consumers"),
    [
        ({"fine_tune": builders.phase(epochs=7)}, {"fine_tune"}),
        ({"warm_start": builders.phase(epochs=7)}, {"warm_start"}),
        ({"evaluation": {"resamples": 200, "seed": 5}}, {"evaluate"}),
        ({"title": "Another", "published": {"source": "somebody"}}, set()),
        ({"training": {"seed": 5, "batch_size": 16}}, {"warm_start", "fine_tune", "predict"}),
    ],
)
def test_a_parameter_changes_the_files_of_the_stages_it_matters_to(changes, consumers):
    resolve()
    before = files()
    resolve(**changes)
    assert {name for name, content in files().items() if content != before[name]} == consumers | {"experiment"}


# --- random weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", FREEZES.values(), ids=FREEZES)
def test_from_trained_weights_a_phase_freezes_as_it_says(freeze):
    phases, whole = resolve(weights="kept", fine_tune=builders.phase(freeze=freeze))
    frozen = phases["fine_tune"].phase.freeze
    assert (frozen if isinstance(freeze, str) else frozen.model_dump()) == freeze
    assert whole.settings.departures == {}


@pytest.mark.parametrize("freeze", FREEZES.values(), ids=FREEZES)
def test_from_random_weights_nothing_is_frozen_and_the_rest_is_as_it_says(freeze):
    changed = builders.phase(freeze=freeze, epochs=3)
    phases, _ = resolve(fine_tune=changed)
    assert phases["fine_tune"].phase.freeze == "nothing"
    trained = resolve(weights="kept", fine_tune=changed)[0]["fine_tune"].phase
    assert phases["fine_tune"].phase == trained.model_copy(update={"freeze": "nothing"})


def test_a_thaw_is_a_departure_after_those_of_the_experiment():
    _, whole = resolve(departures={"ink": "No ink.", "paper": None}, fine_tune=builders.phase(freeze="everything"))
    first, *thaws = whole.settings.departures.values()
    assert first == "No ink."
    assert ["warm-start" in thaws[0], "fine-tune" in thaws[1], len(thaws)] == [True, True, 2]


def test_a_phase_that_does_not_run_or_freezes_nothing_departs_from_nothing():
    unrun = builders.phase(epochs=0, freeze="everything")
    assert resolve(warm_start=unrun)[1].settings.departures == {}


# --- what a grid chose -------------------------------------------------------------------------------------


def chosen(rank):
    """Parameters of an experiment that takes a cell of a grid; two cells were chosen."""
    named = {"experiment": "small", "split": "squares", "weights": "kept"}
    short = {"images": [8], "all_but_last": [0, 1, 2], "epochs": 1, "steps_per_epoch": 1, "choices": 3}
    taken = {"choice": {"file": "data/choices/mine.json", "rank": rank}}
    return builders.document(
        weights=KEPT,
        experiments={"small": builders.experiment(weights="kept", **taken)},
        grids={"mine": named | short},
    )


@pytest.fixture
def choice():
    best = [(24, 2), (8, 1)]
    found = [Cell(images=s, all_but_last=c, val_accuracy=0.5, majority_accuracy=0.5) for s, c in best]
    cells.write(cells.choice_path("mine"), found, "choose@mine")


@pytest.mark.parametrize(("rank", "images", "layers"), [(1, 24, 2), (2, 8, 1)])
def test_an_experiment_takes_the_images_and_the_layers_of_the_cell_of_its_rank(rank, images, layers, choice):
    builders.resolve(chosen(rank))
    fine_tune, warm_start = (recipe.phase("small", name) for name in ("fine_tune", "warm_start"))
    assert fine_tune.phase.freeze == AllButLastLayers(all_but_last=layers)
    assert warm_start.phase.freeze == "everything", "a cell is about the fine-tuning"
    assert fine_tune.training.images == warm_start.training.images == images
    assert resolved("small").settings.training.images == images


def test_a_rank_beyond_what_was_chosen_is_refused(choice):
    with pytest.raises(
        recipes.RecipeError, match=r"experiments\.small\.choice\.rank: 3 of 2 in data/choices/mine"
    ):
        builders.resolve(chosen(3))


def test_a_choice_that_was_not_made_is_named_with_its_stage():
    with pytest.raises(ArtifactError, match=r"data/choices/mine\.json is not there[\s\S]*choose@mine"):
        builders.resolve(chosen(1))


def test_a_grid_trains_as_its_experiment_says_before_anything_was_chosen():
    builders.parameters(chosen(1))
    assert recipes.mounted("small").settings.training.images is None


def test_an_experiment_that_names_nothing_is_refused_with_the_names_there_are():
    builders.parameters(builders.document(weights=KEPT, experiments={"small": builders.experiment()}))
    with pytest.raises(ParamsError, match=r"has no experiments\.smal\n  expected: one of: small"):
        recipes.write("smal")
