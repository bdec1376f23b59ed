import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from glassbox import params, profiles
from glassbox.cohorts import nih
from glassbox.errors import ParamsError
from glassbox.selection import split
from glassbox.sources import films

ROOT = Path(__file__).parents[1]
PROFILES = sorted(path.stem for path in (ROOT / "conf" / "profile").glob("*.yaml"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the real conf/ and nothing else, which is the working directory."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _params() -> params.Params:
    return params.load(Path("params.yaml"))


def test_there_are_the_four_profiles() -> None:
    assert {"demo", "local", "paper", "smoke"} <= set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_composes_and_parses(profile: str, project: Path) -> None:
    said = profiles.use(profile, [])
    parsed = _params()
    assert parsed.profile == profile
    assert said == [f"params.yaml: profile {profile}, experiments {', '.join(parsed.experiments)}"]
    assert Path("params.yaml").read_text().startswith(f"# Composed from conf/ by `glassbox use {profile}`.\n")
    # Everything that is mounted is used by an experiment, so that nothing is built in vain.
    assert {parsed.splits[e.split].source for e in parsed.experiments.values()} == set(parsed.sources)
    assert {e.dataset for e in parsed.experiments.values()} == set(parsed.datasets)
    assert {e.split for e in parsed.experiments.values()} == set(parsed.splits)
    assert {e.weights for e in parsed.experiments.values()} == set(parsed.weights)


def test_the_committed_params_are_exactly_what_the_demo_composes(project: Path) -> None:
    profiles.use("demo", [])
    assert Path("params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_composing_twice_gives_the_same_bytes(project: Path) -> None:
    texts = []
    for _ in range(2):
        profiles.use("smoke", ["experiments.infiltration_vgg16.training.seed=7"])
        texts.append(Path("params.yaml").read_bytes())
    assert texts[0] == texts[1]


def test_overrides_reach_the_params_and_are_named_in_their_first_line(project: Path) -> None:
    profiles.use("demo", ["datasets.phantom_64.size=32", "+sources.phantom.prevalence.Mass=0.5"])
    parsed = _params()
    assert parsed.datasets["phantom_64"].size == 32
    assert parsed.sources["phantom"].prevalence["Mass"] == 0.5
    assert Path("params.yaml").read_text().splitlines()[0] == (
        "# Composed from conf/ by `glassbox use demo datasets.phantom_64.size=32 "
        "+sources.phantom.prevalence.Mass=0.5`."
    )


def test_the_local_profile_finds_its_zips_in_the_named_folder_and_keeps_no_key_for_it(project: Path) -> None:
    profiles.use("local", ["archives=/somewhere/else"])
    assert "archives" not in yaml.safe_load(Path("params.yaml").read_text())
    assert {name: str(source.path) for name, source in _params().sources.items()} == {
        "pneumonia": "/somewhere/else/chest-xray-pneumonia-224px.zip",
        "nih_1024px": "/somewhere/else/nih-1024px-24.zip",
        "nih_64px": "/somewhere/else/nih-64px.zip",
    }


def test_a_single_zip_of_the_local_profile_can_lie_elsewhere(project: Path) -> None:
    profiles.use("local", ["sources.nih_64px.path=/disk/b.zip"])
    sources = _params().sources
    assert str(sources["nih_64px"].path) == "/disk/b.zip"
    assert str(sources["nih_1024px"].path) == "archives/nih-1024px-24.zip"


def test_the_pneumonia_systems_of_the_local_profile_take_the_size_that_a_gpu_can_afford(project: Path) -> None:
    profiles.use(
        "local", ["datasets.pneumonia_128.size=224", "experiments.pneumonia_resnet50.fine_tune.epochs=30"]
    )
    parsed = _params()
    experiment = parsed.experiments["pneumonia_resnet50"]
    assert parsed.datasets[experiment.dataset].size == 224
    assert experiment.fine_tune.epochs == 30


@pytest.mark.parametrize(
    ("value", "freeze"),
    [
        ("everything", "everything"),
        ("{first: 7}", params.FirstLayers(first=7)),
        ("all_but_batch_normalisation", "all_but_batch_normalisation"),
    ],
)
def test_what_is_frozen_can_be_overridden_whatever_the_recipe_froze(
    value: str, freeze: object, project: Path
) -> None:
    profiles.use("paper", [f"experiments.infiltration_vgg16.fine_tune.freeze={value}"])
    assert _params().experiments["infiltration_vgg16"].fine_tune.freeze == freeze


def test_the_films_of_smoke_show_every_label_to_train_on_and_to_test(project: Path) -> None:
    profiles.use("smoke", [])
    parsed = _params()
    source = parsed.sources["phantom"]
    assert isinstance(source, params.PhantomSource)
    rows = pd.DataFrame(
        {
            "image_id": film.image_id,
            "patient_id": str(film.patient),
            "findings": list(film.findings) or [nih.VOCABULARY.absence],
            "sex": film.sex,
            "official_split": film.official_split,
        }
        for film in films.cohort(source)
    )
    # As many as two cores train, test and explain in minutes.
    assert len(rows) < 400
    for name, settings in parsed.splits.items():
        selected = split.select(rows, settings, nih.VOCABULARY, f"splits.{name}")
        labels = [column for column in selected if column.startswith("label_")]
        assert len(labels) == (2 if settings.labels.task == "binary" else 15)
        shown = selected.groupby("fold")[labels].sum()
        assert shown.loc[["train", "test"]].min(axis=None) > 0, name


def test_the_leaking_split_draws_the_12_000_rows_of_the_article_and_tests_on_2_000(project: Path) -> None:
    profiles.use("paper", [])
    rows = pd.DataFrame(
        {
            "image_id": f"{image:05}.png",
            "patient_id": str(image // 3),
            "findings": ["Infiltration" if image % 2 else "No Finding"],
            "sex": "FM"[image % 5 % 2],
            "official_split": "train_val",
        }
        for image in range(9_000)
    )
    selected = split.select(rows, _params().splits["infiltration_leaking"], nih.VOCABULARY, "splits.x")
    assert selected.groupby("fold")["draws"].sum().to_dict() == {
        "train": 10_000,
        "validation": 2_000,
        "test": 2_000,
    }


def test_the_transfer_split_leaves_the_5_000_films_that_its_largest_cells_train_on(project: Path) -> None:
    profiles.use("paper", [])
    parsed = _params()
    source = params.PhantomSource(kind="phantom", layout="nih", seed=1, patients=8_000, size=64)
    rows = pd.DataFrame(
        {
            "image_id": film.image_id,
            "patient_id": str(film.patient),
            "findings": list(film.findings) or [nih.VOCABULARY.absence],
            "sex": film.sex,
            "official_split": film.official_split,
        }
        for film in films.cohort(source)
    )
    selected = split.select(rows, parsed.splits["nih_transfer"], nih.VOCABULARY, "splits.x")
    largest = max(row.images for row in parsed.rows.values())
    assert largest == 5_000
    assert largest <= (selected["fold"] == "train").sum() < 1.05 * largest


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, "profile: old\n"], ids=["no params", "old params"])
@pytest.mark.parametrize(
    ("command", "found", "expected"),
    [
        ("dmeo", "there is no profile 'dmeo' in conf/profile/", "one of: demo, "),
        ("../profile/demo", "there is no profile '../profile/demo'", "one of: demo, "),
        (
            "demo datasets.phantom_64.sise=3",
            "with datasets.phantom_64.sise=3: Could not override",
            "KEY=VALUE",
        ),
        ("demo nonsense", "profile demo with nonsense", "KEY=VALUE"),
        ("demo datasets.phantom_64.size=[1", "profile demo with datasets.phantom_64.size=[1", "KEY=VALUE"),
        ("demo /split@splits.x=nothing", "profile demo with /split@splits.x=nothing", "KEY=VALUE"),
        (
            "demo datasets.phantom_64.size=big",
            "profile demo: datasets.phantom_64.size: found 'big'",
            "src/glassbox/params/",
        ),
        (
            "demo +datasets.phantom_64.sise=3",
            "profile demo: datasets.phantom_64.sise: unknown key",
            "src/glassbox/params/",
        ),
        (
            "demo splits.pneumonia.dataset=x",
            "profile demo: splits.pneumonia.dataset names 'x'",
            "src/glassbox/params/",
        ),
        ("local archives=${nowhere}", "profile local with archives=${nowhere}", "KEY=VALUE"),
    ],
)
def test_what_does_not_fit_is_refused_and_params_stay_as_they_were(
    command: str, found: str, expected: str, old: str | None, project: Path
) -> None:
    if old:
        Path("params.yaml").write_text(old)
    stray = project / "metrics" / "older"
    stray.mkdir(parents=True)
    profile, *overrides = command.split()
    with pytest.raises(ParamsError) as refusal:
        profiles.use(profile, overrides)
    assert found in refusal.value.found
    assert expected in refusal.value.expected
    assert refusal.value.action
    assert (Path("params.yaml").read_text() if Path("params.yaml").exists() else None) == old
    assert stray.is_dir()
    assert sorted(path.name for path in project.iterdir()) == [
        "conf",
        "metrics",
        *(["params.yaml"] if old else []),
    ]


def test_outside_a_project_the_refusal_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError) as refusal:
        profiles.use("demo", [])
    assert "run this in the project root" in refusal.value.expected
    assert list(tmp_path.iterdir()) == []


# --- what was measured before ------------------------------------------------------------------------------


def test_results_that_the_new_profile_lacks_are_moved_aside_and_said(project: Path) -> None:
    kept = ["metrics/infiltration_vgg16/scores.json", "metrics/sources/phantom.json", "metrics/.gitignore"]
    moved = [
        "metrics/pneumonia_compact/scores.json",
        "metrics/catalogs/nih_64px.json",
        "metrics/splits/nih_64px/leakage.json",
    ]
    for name in kept + moved:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    said = profiles.use("demo", [])[1:]
    assert [line.split(":")[0] for line in said] == [
        "moved metrics/catalogs/nih_64px.json to work/set_aside/metrics/catalogs/nih_64px.json",
        "moved metrics/pneumonia_compact to work/set_aside/metrics/pneumonia_compact",
        "moved metrics/splits/nih_64px to work/set_aside/metrics/splits/nih_64px",
    ]
    for name in kept:
        assert Path(name).read_text() == name
    for name in moved:
        assert not Path(name).exists()
        assert (Path("work/set_aside") / name).read_text() == name
    assert profiles.use("demo", [])[1:] == []


def test_what_was_moved_aside_before_gives_way_to_what_is_moved_now(project: Path) -> None:
    for text in ("first", "second"):
        for name in ("metrics/gone/scores.json", "metrics/catalogs/gone.json"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        Path("metrics/gone", text).touch()
        profiles.use("smoke", [])
        aside = Path("work/set_aside/metrics")
        assert (aside / "gone/scores.json").read_text() == (aside / "catalogs/gone.json").read_text() == text
        assert sorted(path.name for path in (aside / "gone").iterdir()) == sorted(["scores.json", text])
