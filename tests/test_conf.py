"""docs/recipes.md shows what conf/ says of every published system; profiles change only what they should."""

from __future__ import annotations

import contextlib
import runpy
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from glassbox import profiles, recipes
from glassbox.cohorts import nih
from glassbox.params.document import checked
from glassbox.params.experiments import PHASES
from glassbox.phantoms import films
from glassbox.splits.build import select

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


def test_the_page_of_recipes_is_what_conf_says():
    """The program refuses a template that leaves out a recipe, or a setting of one."""
    page = runpy.run_path(str(ROOT / "docs/recipes.py"))["Page"]
    with contextlib.chdir(ROOT):
        assert page().text() == (ROOT / "docs/recipes.md").read_text()


def test_a_setting_that_the_page_does_not_name_is_refused(tmp_path):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    recipe = tmp_path / "conf/experiment/pneumonia_resnet50_frozen.yaml"
    recipe.write_text(recipe.read_text() + "evaluation:\n  confidence: 0.9\n")
    page = runpy.run_path(str(ROOT / "docs/recipes.py"))["Page"]
    with (
        contextlib.chdir(tmp_path),
        pytest.raises(SystemExit, match=r"pneumonia_resnet50_frozen: evaluation\.confidence"),
    ):
        page().text()


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
    leaking, honest = (paper["splits"][paper["experiments"][name]["split"]] for name in (recipe, clean))
    for key in ("source", "dataset", "labels", "seed", "sample"):
        assert leaking[key] == honest[key]


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
    largest = max(paper.grids["transfer"].images)
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
    assert smoke.grids["transfer"].cells == [(32, 1), (32, 2), (64, 1), (64, 2)]
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
