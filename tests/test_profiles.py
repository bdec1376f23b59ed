"""`glassbox use`: a profile becomes params.yaml if all of it is right, and older results are kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from glassbox import profiles, recipes
from glassbox.artifacts import recipe
from glassbox.params import cut_archive, withdrawn
from glassbox.params.document import load
from glassbox.params.experiments import FirstLayers
from glassbox.params.read import ParamsError
from glassbox.paths import PARAMS

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with the real conf/ and nothing else, which is the working directory."""
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("profile", ["demo", "smoke", "paper", "local"])
def test_every_profile_composes_to_whole_parameters_and_mounts_nothing_in_vain(profile):
    (said,) = profiles.use(profile, [])
    params = load()
    assert params.profile == profile
    assert said == f"params.yaml: profile {profile}, experiments {', '.join(params.experiments)}"
    experiments = params.experiments.values()
    assert {experiment.split for experiment in experiments} == set(params.splits)
    assert {experiment.weights for experiment in experiments} == set(params.weights)
    assert {split.dataset for split in params.splits.values()} == set(params.datasets)
    assert {dataset.source for dataset in params.datasets.values()} == set(params.sources)


def test_the_committed_parameters_are_what_the_demo_composes_to_the_byte():
    profiles.use("demo", [])
    assert PARAMS.read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_overrides_reach_the_parameters_and_are_named_in_their_first_line():
    overrides = ["datasets.phantom_64.size=32", "+sources.phantom.prevalence.Mass=0.5"]
    profiles.use("demo", overrides)
    params = load()
    assert params.datasets["phantom_64"].size == 32
    assert params.sources["phantom"].prevalence["Mass"] == 0.5
    first = PARAMS.read_text().splitlines()[0]
    assert first == f"# Composed from conf/ by `glassbox use demo {' '.join(overrides)}`."


def test_the_local_profile_finds_its_zips_in_one_folder_and_a_single_one_elsewhere():
    profiles.use(
        "local", ["archives=/some", "sources.nih_64px.path=/disk/b.zip", "datasets.pneumonia_128.size=224"]
    )
    assert "archives" not in yaml.safe_load(PARAMS.read_text()), "only the composition needs it"
    params = load()
    assert {name: str(source.path) for name, source in params.sources.items()} == {
        "pneumonia": "/some/chest-xray-pneumonia-224px.zip",
        "nih_1024px": "/some/nih-1024px-24.zip",
        "nih_64px": "/disk/b.zip",
    }
    experiment = params.experiments["pneumonia_resnet50"]
    assert params.datasets[params.splits[experiment.split].dataset].size == 224


def test_what_is_frozen_can_be_overridden_whatever_the_recipe_froze():
    freezes = {
        "infiltration_vgg16": "everything",
        "pneumonia_inceptionv3": "all_but_batch_normalisation",
        "pneumonia_resnet50": "{first: 7}",
    }
    profiles.use("smoke", [f"experiments.{name}.fine_tune.freeze={freeze}" for name, freeze in freezes.items()])
    found = [load().experiments[name].fine_tune.freeze for name in freezes]
    assert found == ["everything", "all_but_batch_normalisation", FirstLayers(first=7)]


def test_a_recipe_of_ones_own_is_one_new_file_that_profiles_can_mount(project):
    (project / "conf").unlink()
    shutil.copytree(ROOT / "conf", project / "conf")
    example = re.search(
        r"```yaml\n(# (conf/experiment/\w+\.yaml).*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    (project / example[2]).write_text(example[1])
    profiles.use("demo", ["+experiment@experiments.mine=mine"])
    recipes.write("mine")
    phase = recipe.phase("mine", "fine_tune")
    assert (phase.experiment, phase.phase.epochs, phase.model.backbone) == ("mine", 10, "compact")


# --- who is withdrawn --------------------------------------------------------------------------------------


@pytest.fixture
def lists(project):
    """Writes lists of withdrawn patients beside a copy of conf/."""
    (project / "conf").unlink()
    shutil.copytree(ROOT / "conf", project / "conf")
    return withdrawn.write


def test_every_profile_has_the_list_of_each_of_its_sources(lists):
    profiles.use("demo", [])
    before = PARAMS.read_text()
    lists("phantom", ["12", "7"])
    lists("nih_64px", ["30"])
    said = profiles.use("demo", [])
    assert said[1:] == ["withdrawn from phantom: 2 patients (conf/withdrawn/phantom.txt)"]
    assert PARAMS.read_text() == before.replace("phantom: []", "phantom:\n  - '12'\n  - '7'")
    assert load().withdrawn == {"phantom": ("12", "7")}
    profiles.use("local", [])
    assert load().withdrawn == {"pneumonia": (), "nih_1024px": (), "nih_64px": ("30",)}


def test_a_profile_or_an_override_that_withdraws_somebody_past_the_lists_is_refused(project):
    with pytest.raises(ParamsError) as refusal:
        profiles.use("demo", ["+withdrawn.phantom=['12']"])
    assert "withdrawn patients in conf/withdrawn/" in refusal.value.expected
    assert not PARAMS.exists()


def test_a_list_with_a_line_that_is_no_id_is_refused_and_everything_stays_as_it_was(lists):
    profiles.use("demo", [])
    before = PARAMS.read_bytes()
    withdrawn.path("phantom").write_text("12\n\n")
    with pytest.raises(ParamsError, match=r"conf/withdrawn/phantom\.txt, line 2: '' is no patient's id"):
        profiles.use("demo", [])
    assert PARAMS.read_bytes() == before


# --- what an erasure left ----------------------------------------------------------------------------------


@pytest.fixture
def cut(lists):
    """`cut(profile, source)`: an erasure left an archive of a source, as that profile has it."""

    def write(profile, source):
        profiles.use(profile, [])
        replaced = cut_archive.identity(load().sources[source])
        place = {"path": "archives/cut.zip", "sha256": "a" * 64}
        cut_archive.write(source, cut_archive.Cut(archive=place, key_sha256="b" * 64, replaces=(replaced,)))

    return write


def test_every_profile_that_has_the_source_gets_the_archive_and_one_with_another_keeps_it_and_says_so(cut):
    cut("demo", "phantom")
    said = profiles.use("demo", ["sources.phantom.missing_share=0.25"])[1:]
    line = "sources.phantom is the archive that an erasure left: archives/cut.zip"
    assert said == [f"{line} (conf/withdrawn/phantom.archive.yaml)"]
    assert yaml.safe_load(PARAMS.read_text())["sources"]["phantom"] == {
        "kind": "archive",
        "layout": "nih",
        "missing_share": 0.25,
        "unlisted_share": 0.0,
        "path": "archives/cut.zip",
        "sha256": "a" * 64,
    }
    # Under the same key smoke has other films.
    said = profiles.use("smoke", [])
    assert load().sources["phantom"].kind == "phantom"
    (line,) = [line for line in said if line.startswith("sources.phantom is another archive")]
    assert line.endswith("it stays, and needs secrets/withdrawn.key to leave them out")


def test_a_zip_is_known_by_its_bytes_wherever_it_lies(cut):
    cut("local", "nih_64px")
    profiles.use("local", ["archives=/elsewhere", "sources.nih_64px.path=/disk/b.zip"])
    sources = load().sources
    assert str(sources["nih_64px"].path) == "archives/cut.zip"
    assert str(sources["nih_1024px"].path) == "/elsewhere/nih-1024px-24.zip"
    profiles.use("local", [f"sources.nih_64px.sha256={'c' * 64}", "sources.nih_64px.path=/disk/b.zip"])
    assert str(load().sources["nih_64px"].path) == "/disk/b.zip"


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "found", "expected"),
    [
        ("dmeo", "there is no profile 'dmeo' in conf/profile/", "one of: demo, local, paper, smoke"),
        ("../profile/demo", "there is no profile '../profile/demo'", "one of: demo, "),
        ("demo datasets.phantom_64.sise=3", "profile demo with datasets.phantom_64.sise=3: ", "KEY=VALUE"),
        ("demo nonsense", "profile demo with nonsense", "KEY=VALUE"),
        ("local archives=${nowhere}", "profile local with archives=${nowhere}", "KEY=VALUE"),
        ("demo datasets.phantom_64.size=big", "profile demo: datasets.phantom_64.size: found 'big'", ""),
        ("demo +datasets.phantom_64.sise=3", "profile demo: datasets.phantom_64.sise: unknown key", ""),
        ("demo splits.pneumonia.dataset=x", "profile demo: splits.pneumonia.dataset names 'x'", ""),
    ],
)
def test_what_does_not_fit_is_refused_and_everything_stays_as_it_was(command, found, expected, project):
    PARAMS.write_text("profile: old\n")
    stray = project / "metrics" / "older"
    stray.mkdir(parents=True)
    profile, *overrides = command.split()
    with pytest.raises(ParamsError) as refusal:
        profiles.use(profile, overrides)
    assert found in refusal.value.found
    assert expected in refusal.value.expected
    assert PARAMS.read_text() == "profile: old\n"
    assert stray.is_dir()
    assert {path.name for path in project.iterdir()} == {"conf", "metrics", "params.yaml"}


def test_outside_a_project_the_refusal_says_where_to_run(project):
    (project / "conf").unlink()
    with pytest.raises(ParamsError) as refusal:
        profiles.use("demo", [])
    assert "run this in the project root" in refusal.value.expected
    assert list(project.iterdir()) == []


# --- what was measured before ------------------------------------------------------------------------------


def _measure(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)


def test_results_that_the_new_profile_lacks_are_moved_aside_and_said():
    kept = ["metrics/infiltration_vgg16/scores.json", "metrics/sources/phantom.json", "metrics/.gitignore"]
    moved = {
        "metrics/catalogs/nih_64px.json": "metrics/catalogs/nih_64px.json",
        "metrics/pneumonia_compact": "metrics/pneumonia_compact/scores.json",
        "metrics/splits/nih_64px": "metrics/splits/nih_64px/leakage.json",
    }
    _measure(*kept, *moved.values())
    said = profiles.use("demo", [])[1:]
    assert [line.split(":")[0] for line in said] == [f"moved {name} to work/set_aside/{name}" for name in moved]
    assert all(Path(name).read_text() == name for name in kept)
    assert not any(Path(name).exists() for name in moved.values())
    assert all(Path("work/set_aside", name).read_text() == name for name in moved.values())
    assert profiles.use("demo", [])[1:] == []


def test_what_was_moved_aside_before_gives_way_to_what_is_moved_now():
    _measure("work/set_aside/metrics/gone/old.json", "metrics/gone/new.json")
    profiles.use("demo", [])
    assert [path.name for path in Path("work/set_aside/metrics/gone").iterdir()] == ["new.json"]
