"""conf/ says what docs/recipes.md claims of every published system; profiles change only what they should."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from glassbox import profiles, recipes
from glassbox.cohorts import nih
from glassbox.params.document import checked
from glassbox.params.experiments import PHASES
from glassbox.selection.split import select
from glassbox.sources import films

ROOT = Path(__file__).parents[1]
#: Every recipe of a published system or a variant; the other two are what they start from and the small network.
RECIPES = sorted({path.stem for path in (ROOT / "conf/experiment").glob("*.yaml")} - {"base", "compact"})
SYSTEMS = {
    "infiltration_vgg16": "vgg16",
    "pneumonia_inceptionv3": "inceptionv3",
    "pneumonia_resnet50": "resnet50",
    "nih_resnet50_single_label": "resnet50",
    "nih_resnet50_multi_label": "resnet50",
    "nih_resnet50_transfer": "resnet50",
}
#: What a recipe says in words.
WORDS = {"title", "departures", "published.source"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Profile -> a project in which it is used."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for profile in ("demo", "local", "paper", "smoke"):
            found[profile] = tmp_path_factory.mktemp(profile)
            (found[profile] / "conf").symlink_to(ROOT / "conf")
            patch.chdir(found[profile])
            profiles.use(profile, [])
    return found


@pytest.fixture(scope="module")
def composed(folders):
    """Profile -> its parameters as plain values."""
    return {name: yaml.safe_load((folder / "params.yaml").read_text()) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def parsed(composed):
    return {profile: checked(values, profile) for profile, values in composed.items()}


# --- the page ----------------------------------------------------------------------------------------------


def _sections():
    """Recipe -> what the page says under its heading."""
    parts = re.split(r"^###? `(\w+)`$", (ROOT / "docs/recipes.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _claims(recipe):
    """Place -> value of every `place = value` in the tables of a recipe's section."""
    rows = "\n".join(line for line in _sections()[recipe].splitlines() if line.startswith("|"))
    return {place: yaml.safe_load(value) for place, value in re.findall(r"`([a-z][\w. ]*) = ([^`]+)`", rows)}


def _leaves(block, above=""):
    for key, value in block.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value


def _found(values, recipe, place):
    """The value of a place: of the experiment, of the split, dataset or weights it has, or of a grid."""
    first, _, rest = place.partition(".")
    experiment = values["experiments"][recipe]
    split = values["splits"][experiment["split"]]
    inside = {
        "split": split,
        "dataset": values["datasets"][split["dataset"]],
        "weights": values["weights"][experiment["weights"]],
    }
    block = values if first in ("grids", "rows") else experiment
    if rest and first in inside:
        block, place = inside[first], rest
    for key in place.split("."):
        block = block[key]
    return block


def test_the_page_has_a_section_for_every_recipe_and_the_paper_profile_runs_them_all(parsed):
    assert sorted(_sections()) == sorted(parsed["paper"].experiments) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_setting_that_the_page_claims_is_what_the_paper_profile_runs(recipe, composed):
    claims = _claims(recipe)
    assert claims
    # As text: True equals 1.
    assert {place: repr(_found(composed["paper"], recipe, place)) for place in claims} == {
        place: repr(value) for place, value in claims.items()
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_setting_and_no_published_score_of_a_recipe_is_missing_on_the_page(recipe, composed):
    own = yaml.safe_load((ROOT / f"conf/experiment/{recipe}.yaml").read_text())
    own = {place for place, _ in _leaves({key: own[key] for key in own if key != "defaults"})} - WORDS
    own = {place for place in own if not place.startswith("published.scores")}
    scores = dict(_leaves(composed["paper"]["experiments"][recipe]["published"]["scores"], "published.scores."))
    claimed = {
        f"{place}.{key}" if key else place
        for place, value in _claims(recipe).items()
        for key in (value if isinstance(value, dict) else [None])
    }
    assert (own | set(scores)) - claimed == set()


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_has_the_departures_that_a_recipe_adds(recipe, composed):
    paper = composed["paper"]["experiments"]
    parent = yaml.safe_load((ROOT / f"conf/experiment/{recipe}.yaml").read_text())["defaults"][0]
    added = set(paper[recipe]["departures"]) - set(paper.get(parent, {}).get("departures", ()))
    bullets = re.findall(r"^- (.*(?:\n  .*)*)", _sections()[recipe], flags=re.MULTILINE)
    assert added <= {" ".join(bullet.split()) for bullet in bullets} <= set(paper[recipe]["departures"])


# --- leaks -------------------------------------------------------------------------------------------------


def test_only_a_recipe_that_is_named_so_leaks_and_no_other_profile_has_one(parsed):
    for profile, params in parsed.items():
        for name, experiment in params.experiments.items():
            split = params.splits[experiment.split]
            leaks = split.procedure != "by_patient" or split.validation == "test"
            assert leaks == (profile == "paper" and name.endswith("_leaking")), f"{profile}: {name}"


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.endswith("_leaking")])
def test_a_leaking_recipe_differs_from_the_clean_one_in_its_split_alone(recipe, composed):
    paper, clean = composed["paper"], recipe.removesuffix("_leaking")
    said = {"title": "", "departures": "", "split": ""}
    assert paper["experiments"][recipe] | said == paper["experiments"][clean] | said
    for key in ("source", "dataset", "labels", "seed", "sample"):
        assert _found(paper, recipe, f"split.{key}") == _found(paper, clean, f"split.{key}")


def _rows(findings, patients, sexes):
    """The rows of a catalog, one film each."""
    count = len(findings)
    return pd.DataFrame(
        {
            "image_id": [f"{number:05}.png" for number in range(count)],
            "patient_id": [str(patient) for patient in patients],
            "findings": [[finding] for finding in findings],
            "sex": sexes,
            "official_split": "train_val",
        }
    )


def test_the_leaking_split_draws_the_12_000_rows_of_the_article_and_tests_on_2_000(parsed):
    each = range(9_000)
    films = _rows(
        ["Infiltration" if film % 2 else "No Finding" for film in each],
        [film // 3 for film in each],
        ["FM"[film % 5 % 2] for film in each],
    )
    split = select(films, parsed["paper"].splits["infiltration_leaking"], nih.VOCABULARY, "splits.x")
    shown = split.groupby("fold")["draws"].sum()
    assert shown.to_dict() == {"train": 10_000, "validation": 2_000, "test": 2_000}


def test_the_transfer_split_leaves_the_5_000_films_that_its_largest_cells_train_on(parsed):
    paper, findings, each = parsed["paper"], nih.VOCABULARY.findings, range(7_000)
    films = _rows(
        [findings[film % len(findings)] if film % 13 < 6 else "No Finding" for film in each],
        # Three or four films a patient.
        [film * 2 // 7 for film in each],
        ["FM"[film * 2 // 7 % 2] for film in each],
    )
    split = select(films, paper.splits["nih_transfer"], nih.VOCABULARY, "splits.x")
    largest = max(row.images for row in paper.rows.values())
    assert largest <= (split["fold"] == "train").sum() < 1.05 * largest


# --- what the other profiles run ---------------------------------------------------------------------------


def test_the_paper_profile_runs_on_published_films_and_demo_and_smoke_need_no_network(parsed):
    kinds = {name: {source.kind for source in params.sources.values()} for name, params in parsed.items()}
    assert kinds == {"demo": {"phantom"}, "smoke": {"phantom"}, "paper": {"kaggle"}, "local": {"archive"}}
    for name in ("demo", "smoke", "local"):
        assert {weights.kind for weights in parsed[name].weights.values()} <= {"none", "pretraining"}


@pytest.mark.parametrize(("recipe", "backbone"), SYSTEMS.items())
def test_smoke_runs_every_system_with_its_real_architecture_in_two_steps_an_epoch(recipe, backbone, parsed):
    smoke, paper = parsed["smoke"], parsed["paper"]
    short, published = smoke.experiments[recipe], paper.experiments[recipe]
    assert set(smoke.experiments) == set(SYSTEMS)
    assert short.model.backbone == backbone
    # Only how fast batch normalisation follows may differ.
    assert short.model.model_copy(update={"momentum": None}) == published.model
    assert (short.augmentation, short.training.class_weight) == (
        published.augmentation,
        published.training.class_weight,
    )
    assert smoke.splits[short.split].labels.task == paper.splits[published.split].labels.task
    for name in PHASES:
        phase, whole = getattr(short, name), getattr(published, name)
        assert phase.epochs == min(whole.epochs, 1)
        assert phase.steps_per_epoch == (2 if phase.epochs else whole.steps_per_epoch)
        cut = {"epochs": 0, "steps_per_epoch": None}
        assert phase.model_copy(update=cut) == whole.model_copy(update=cut)


def test_smoke_runs_a_grid_of_four_cells_and_trains_its_first_choice(parsed):
    smoke = parsed["smoke"]
    assert [(row.images, row.all_but_last) for row in smoke.rows.values()] == [(32, (1, 2)), (64, (1, 2))]
    choice = smoke.experiments["nih_resnet50_transfer"].choice
    assert (choice.file.as_posix(), choice.rank) == ("data/choices/transfer.json", 1)


def test_the_films_of_smoke_show_every_label_to_train_on_and_to_test(parsed):
    smoke = parsed["smoke"]
    cohort = list(films.cohort(smoke.sources["phantom"]))
    # As many as two cores train, test and explain in minutes.
    assert len(cohort) < 400
    rows = pd.DataFrame(
        {
            "image_id": film.image_id,
            "patient_id": str(film.patient),
            "findings": list(film.findings) or [nih.VOCABULARY.absence],
            "sex": film.sex,
            "official_split": film.official_split,
        }
        for film in cohort
    )
    for name, settings in smoke.splits.items():
        split = select(rows, settings, nih.VOCABULARY, f"splits.{name}")
        labels = [column for column in split if column.startswith("label_")]
        assert split.groupby("fold")[labels].sum().loc[["train", "test"]].min(axis=None) > 0, name


@pytest.mark.parametrize("recipe", ["pneumonia_resnet50", "pneumonia_inceptionv3"])
def test_the_local_profile_trains_the_published_networks_whole_from_random_weights(
    recipe, folders, parsed, monkeypatch
):
    monkeypatch.chdir(folders["local"])
    whole = recipes.thawed(recipes.mounted(recipe))
    assert whole.weights.kind == "none"
    assert whole.settings.fine_tune.freeze == "nothing"
    assert whole.settings.model.model_copy(update={"momentum": None}) == parsed["paper"].experiments[recipe].model
