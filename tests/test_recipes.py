import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from glassbox import params, profiles

ROOT = Path(__file__).parents[1]
SYSTEMS = {
    "infiltration_vgg16": "vgg16",
    "pneumonia_inceptionv3": "inceptionv3",
    "pneumonia_resnet50": "resnet50",
    "nih_resnet50_single_label": "resnet50",
    "nih_resnet50_multi_label": "resnet50",
    "nih_resnet50_transfer": "resnet50",
}
#: Every recipe of a published system; the other two are what recipes start from and the in-house network.
RECIPES = sorted({path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")} - {"base", "compact"})
#: Keys of a recipe that its section says in prose, or that name what the section is about.
_IN_PROSE = {"title", "departures", "published.source"}


@pytest.fixture(scope="module")
def composed() -> dict[str, dict[str, Any]]:
    """Profile -> its composed parameters, as plain values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return {profile: profiles._compose(profile, []) for profile in ("paper", "smoke", "local")}


@pytest.fixture(scope="module")
def parsed(composed: dict[str, dict[str, Any]]) -> dict[str, params.Params]:
    return {profile: params.parse(values, profile) for profile, values in composed.items()}


def _own(recipe: str) -> dict[str, Any]:
    """What the file of a recipe says itself, before it is composed."""
    content: dict[str, Any] = yaml.safe_load((ROOT / f"conf/experiment/{recipe}.yaml").read_text())
    return content


def _parent(recipe: str) -> str | None:
    """The recipe that a variant is one of."""
    first = _own(recipe)["defaults"][0]
    return None if first == "base" else first


def _leaves(block: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value


# --- the page ----------------------------------------------------------------------------------------------


def _sections() -> dict[str, str]:
    """Recipe -> what docs/recipes.md says under its heading."""
    parts = re.split(r"^###? `(\w+)`$", (ROOT / "docs/recipes.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _claims(section: str) -> dict[str, Any]:
    """Path -> value of every `path = value` in a section's table."""
    rows = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    return {path: yaml.safe_load(value) for path, value in re.findall(r"`([a-z][\w. ]*) = ([^`]+)`", rows)}


def _listed(section: str) -> list[str]:
    """The sentences of a section's bullets."""
    return [" ".join(item.split()) for item in re.findall(r"^- (.*(?:\n  .*)*)", section, flags=re.MULTILINE)]


def _leaks(split: params.Split) -> bool:
    return split.procedure != "by_patient" or split.validation == "test"


def _found(values: dict[str, Any], recipe: str, path: str) -> Any:
    """The value of a path: of the experiment, of the dataset, split or weights it names, or of a grid."""
    first, _, rest = path.partition(".")
    block = values if first in ("grids", "rows") else values["experiments"][recipe]
    if first in ("dataset", "split", "weights") and rest:
        block = values[{"dataset": "datasets", "split": "splits"}.get(first, first)][block[first]]
        path = rest
    for key in path.split("."):
        block = block[key]
    return block


def test_the_page_has_a_section_for_every_recipe_and_for_nothing_else() -> None:
    assert sorted(_sections()) == RECIPES
    assert set(SYSTEMS) <= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_that_the_table_claims_is_what_the_paper_profile_composes(
    recipe: str, composed: dict[str, dict[str, Any]]
) -> None:
    claims = _claims(_sections()[recipe])
    assert claims
    found = {path: _found(composed["paper"], recipe, path) for path in claims}
    assert found == claims
    # True equals 1.
    assert [path for path in claims if isinstance(claims[path], bool) != isinstance(found[path], bool)] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_setting_of_a_recipe_is_missing_in_its_table(recipe: str) -> None:
    own = {path for path, _ in _leaves(_own(recipe)) if path != "defaults" and path not in _IN_PROSE}
    claimed = {
        f"{path}.{key}" if key else path
        for path, value in _claims(_sections()[recipe]).items()
        for key in (value if isinstance(value, dict) else [None])
    }
    # What a variant reports is compared whole below: its file may write it as one expression.
    assert {path for path in own - claimed if not path.startswith("published.scores")} == set()


@pytest.mark.parametrize("recipe", sorted(SYSTEMS))
def test_the_table_of_a_system_says_which_films_folds_pixels_and_weights(recipe: str) -> None:
    claims = _claims(_sections()[recipe])
    said = """split.procedure split.labels.task split.official_test split.validation dataset.size weights.kind
        model.backbone model.normalise training.batch_size fine_tune.epochs fine_tune.freeze fine_tune.loss"""
    assert set(said.split()) <= set(claims)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_published_scores_are_exactly_those_of_the_table(
    recipe: str, composed: dict[str, dict[str, Any]]
) -> None:
    scores = dict(_leaves(composed["paper"]["experiments"][recipe]["published"]["scores"], "published.scores."))
    claims = _claims(_sections()[recipe])
    assert {path: value for path, value in claims.items() if path.startswith("published.scores")} == scores


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_lists_every_departure_in_the_words_of_the_recipe(
    recipe: str, composed: dict[str, dict[str, Any]]
) -> None:
    sections = _sections()
    departures = composed["paper"]["experiments"][recipe]["departures"]
    listed = _listed(sections[recipe])
    assert set(listed) <= set(departures)
    parent = _parent(recipe)
    assert set(departures) <= {*listed, *(_listed(sections[parent]) if parent else [])}


# --- the files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_header_names_source_command_result_and_departures(recipe: str) -> None:
    text = (ROOT / f"conf/experiment/{recipe}.yaml").read_text()
    header = re.match(r"(?:#.*\n)+", text)
    assert header is not None
    named = dict(re.findall(r"^# (Source|Command|Result|Departs): +(.+)$", header[0], flags=re.MULTILINE))
    assert list(named) == ["Source", "Command", "Result", "Departs"]
    assert "docs/recipes.md" in named["Source"]
    assert named["Command"] == f"uv run glassbox use paper && uv run dvc repro evaluate@{recipe}"
    assert "published" in named["Result"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_departures_are_sentences_and_say_why_or_that_the_source_is_silent(
    recipe: str, composed: dict[str, dict[str, Any]]
) -> None:
    departures = composed["paper"]["experiments"][recipe]["departures"]
    assert departures
    for sentence in departures:
        assert re.fullmatch(r'["A-Z].*\.', sentence), sentence
        assert re.search(r"because|unpublished|, as in|, where", sentence, flags=re.IGNORECASE), sentence


# --- the profiles ------------------------------------------------------------------------------------------


def test_the_paper_profile_runs_every_recipe(parsed: dict[str, params.Params]) -> None:
    assert sorted(parsed["paper"].experiments) == RECIPES


def test_the_paper_profile_fetches_its_films_and_changes_no_recipe(composed: dict[str, dict[str, Any]]) -> None:
    assert {source["kind"] for source in composed["paper"]["sources"].values()} == {"kaggle"}
    raw = yaml.safe_load((ROOT / "conf/profile/paper.yaml").read_text())
    assert "experiments" not in raw


@pytest.mark.parametrize("recipe", RECIPES)
def test_only_a_recipe_that_is_named_so_uses_a_procedure_that_leaks(
    recipe: str, parsed: dict[str, params.Params]
) -> None:
    paper = parsed["paper"]
    split = paper.splits[paper.experiments[recipe].split]
    assert _leaks(split) == recipe.endswith("_leaking")


@pytest.mark.parametrize("profile", sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml")))
def test_no_profile_but_paper_has_a_split_that_leaks(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    splits = params.parse(profiles._compose(profile, []), profile).splits
    leaking = {key for key, split in splits.items() if _leaks(split)}
    expected = {"infiltration_leaking", "nih_single_label_leaking", "nih_multi_label_leaking"}
    assert leaking == (expected if profile == "paper" else set())


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.endswith("_leaking")])
def test_a_leaking_recipe_differs_from_the_clean_one_in_its_split_alone(
    recipe: str, composed: dict[str, dict[str, Any]]
) -> None:
    paper = composed["paper"]
    said = {"title": "", "departures": "", "split": ""}
    clean = recipe.removesuffix("_leaking")
    assert paper["experiments"][recipe] | said == paper["experiments"][clean] | said
    for key in ("source", "dataset", "labels", "seed", "sample"):
        assert _found(paper, recipe, f"split.{key}") == _found(paper, clean, f"split.{key}")


@pytest.mark.parametrize(("recipe", "backbone"), SYSTEMS.items())
def test_smoke_runs_every_system_with_its_real_architecture(
    recipe: str, backbone: str, parsed: dict[str, params.Params]
) -> None:
    smoke, paper = parsed["smoke"].experiments[recipe], parsed["paper"].experiments[recipe]
    assert smoke.model.backbone == backbone
    # Only how fast batch normalisation follows may differ.
    assert smoke.model.model_copy(update={"momentum": None}) == paper.model
    assert (smoke.augmentation, smoke.training.class_weight) == (paper.augmentation, paper.training.class_weight)
    assert parsed["smoke"].splits[smoke.split].labels.task == parsed["paper"].splits[paper.split].labels.task
    for name in params.PHASES:
        phase, published = getattr(smoke, name), getattr(paper, name)
        assert phase.epochs == min(published.epochs, 1)
        cut = {"epochs": 0, "steps_per_epoch": None}
        assert phase.model_copy(update=cut) == published.model_copy(update=cut)


def test_smoke_runs_the_six_systems_offline_in_two_steps_an_epoch(parsed: dict[str, params.Params]) -> None:
    smoke = parsed["smoke"]
    assert set(smoke.experiments) == set(SYSTEMS)
    assert {weights.kind for weights in smoke.weights.values()} == {"none", "pretraining"}
    assert {source.kind for source in smoke.sources.values()} == {"phantom"}
    # InceptionV3 needs 75 px.
    assert all(75 <= dataset.size <= 96 for dataset in smoke.datasets.values())
    phases = [getattr(experiment, name) for experiment in smoke.experiments.values() for name in params.PHASES]
    assert {phase.steps_per_epoch for phase in phases if phase.epochs} == {2}


def test_from_random_weights_every_system_that_freezes_names_the_thaw_as_a_departure(
    parsed: dict[str, params.Params],
) -> None:
    smoke = parsed["smoke"]
    thawed = {key for key in SYSTEMS if any("nothing is frozen" in text for text in smoke.departures(key))}
    random = {key for key in SYSTEMS if smoke.weights[smoke.experiments[key].weights].kind == "none"}
    assert random == set(SYSTEMS) - {"nih_resnet50_transfer"}
    assert thawed == random - {"nih_resnet50_single_label", "nih_resnet50_multi_label"}
    assert {smoke.phase(key, "fine_tune").freeze for key in random} == {"nothing"}


def test_the_transfer_grid_of_the_paper_profile_is_the_published_one(parsed: dict[str, params.Params]) -> None:
    paper = parsed["paper"]
    assert paper.grids["transfer"].experiment == "nih_resnet50_transfer"
    sizes = [100, 200, 300, 400, 500, 750, 1000, 1500, 2000, 2500, 3000, 4000, 5000]
    assert [row.images for row in paper.rows.values()] == sizes
    assert {row.all_but_last for row in paper.rows.values()} == {tuple(range(20))}


def test_the_published_choices_are_recipes_and_what_our_grid_chooses_are_two_more(
    parsed: dict[str, params.Params],
) -> None:
    paper = parsed["paper"].experiments
    own = {
        recipe: (experiment.fine_tune.freeze.all_but_last, experiment.training.images)
        for recipe, experiment in paper.items()
        if isinstance(experiment.fine_tune.freeze, params.AllButLastLayers)
        and experiment.choice.file == params.NO_CHOICE
    }
    assert own == {"nih_resnet50_transfer": (2, 5000), "nih_resnet50_transfer_19": (19, 3000)}
    ours = {recipe: experiment.choice for recipe, experiment in paper.items() if recipe not in own}
    taken = {recipe: choice.rank for recipe, choice in ours.items() if choice.file != params.NO_CHOICE}
    assert taken == {"nih_resnet50_transfer_first": 1, "nih_resnet50_transfer_second": 2}


def test_smoke_runs_a_grid_of_two_by_two_and_trains_its_first_choice(parsed: dict[str, params.Params]) -> None:
    smoke = parsed["smoke"]
    grid = smoke.grids["transfer"]
    assert (grid.experiment, grid.epochs, grid.steps_per_epoch) == ("nih_resnet50_transfer", 1, 2)
    assert [(row.images, row.all_but_last) for row in smoke.rows.values()] == [(32, (1, 2)), (64, (1, 2))]
    choice = smoke.experiments["nih_resnet50_transfer"].choice
    assert (choice.file.as_posix(), choice.rank) == ("data/choices/transfer.json", 1)


@pytest.mark.parametrize("recipe", ["pneumonia_resnet50", "pneumonia_inceptionv3"])
def test_the_local_profile_trains_the_pneumonia_systems_from_random_weights_and_says_how(
    recipe: str, parsed: dict[str, params.Params]
) -> None:
    local, paper = parsed["local"], parsed["paper"]
    experiment = local.experiments[recipe]
    assert local.weights[experiment.weights].kind == "none"
    assert local.phase(recipe, "fine_tune").freeze == "nothing"
    assert experiment.model.model_copy(update={"momentum": None}) == paper.experiments[recipe].model
    said = " ".join(local.departures(recipe))
    assert experiment.fine_tune.optimizer.name == "adamw"
    assert experiment.training.precision == "mixed_bfloat16"
    for word in (
        "AdamW at 0.001",
        "cosine",
        f"over {experiment.fine_tune.epochs} epochs",
        f"momentum {experiment.model.momentum}",
        "bfloat16",
        f"{local.datasets[experiment.dataset].size} px",
        "nothing is frozen",
    ):
        assert word in said
