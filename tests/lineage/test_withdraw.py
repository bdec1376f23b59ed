"""`glassbox withdraw`: what is built afterwards is what it would be had the archive never held the patients."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import killed_withdrawal
import numpy as np
import pytest
import recorded
import yaml
from click.testing import CliRunner

from glassbox import cli
from glassbox.artifacts import catalog, document, split
from glassbox.artifacts.split import FOLDS
from glassbox.errors import GlassboxError
from glassbox.lineage.withdrawal.edited import edited
from glassbox.lineage.withdrawal.withdraw import withdraw
from glassbox.params import withdrawn
from glassbox.params.document import load
from glassbox.params.read import ParamsError
from glassbox.paths import PARAMS

#: What a withdrawal may change nowhere but in the counts of the catalog.
MADE = ("data/catalogs", "data/shards", "data/splits", "metrics/splits")


def drawn(project, seed, count=3):
    return np.random.default_rng(seed).choice(project.patients(), count, replace=False).tolist()


# --- withdrawn equals never seen ---------------------------------------------------------------------------


def equals_never_seen(project, never, patients):
    wanted = never(patients, *MADE)
    withdraw("films", patients)
    project.build()
    found = project.files(*MADE)
    assert [name for name in wanted if wanted[name] != found.get(name)] == []
    assert found.keys() == wanted.keys()


def test_withdrawn_patients_were_never_seen_to_the_byte_and_only_their_shards_are_others(project, never):
    patients = drawn(project, seed=10)
    theirs, before = set(project.images(*patients)), project.files("data/shards")
    held = {shard for image, shard in project.shards().items() if image in theirs}
    equals_never_seen(project, never, patients)
    gone = set(before.values()) - set(project.files("data/shards").values())
    other = {Path(name).name for name, content in before.items() if content in gone}
    assert other == {*held, "index.parquet"}
    assert len(held) < len(set(project.shards().values())) / 2


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_whoever_they_are(seed, project, never):
    equals_never_seen(project, never, drawn(project, seed, count=seed))


@pytest.mark.long
def test_one_withdrawal_after_another_ends_where_one_of_all_does(project, never):
    patients = drawn(project, seed=1)
    wanted = never(patients, *MADE)
    for patient in patients[::-1]:
        withdraw("films", [patient])
        project.build()
    assert project.files(*MADE) == wanted


def test_who_is_only_tested_on_changes_no_file_of_a_training_and_of_another_question_none_at_all(project):
    before = project.files("data/splits")
    withdraw("films", [project.only_in("listed", "test")])
    project.build(shards=False)
    after = project.files("data/splits")
    listed = {name for name in before if before[name] != after[name] and "/cut/" not in name}
    assert listed == {"data/splits/listed/test.parquet"}


def test_the_counts_of_the_catalog_say_how_many_and_not_who(project):
    patients = drawn(project, seed=1)
    images, before = project.images(*patients), document.read(catalog.counts_path("films"), "catalog@films")
    withdraw("films", patients)
    project.build(shards=False)
    counts = document.read(catalog.counts_path("films"), "catalog@films")
    assert counts["withdrawn"] == {
        "patients": 3,
        "images": len(images),
        "patients_without_images": 0,
        "same_files_of_others": 0,
    }
    assert (counts["patients"], counts["images"]) == (before["patients"] - 3, before["images"] - len(images))
    assert counts["missing"] == counts["unlisted"] == {"images": 0, "first": None}


# --- what is said ------------------------------------------------------------------------------------------


def said(lines, start):
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def test_who_is_new_and_who_was_withdrawn_before_is_said(project):
    first, second, third = drawn(project, seed=1)
    withdraw("films", [first])
    lines = withdraw("films", [second, first, third, second])
    assert lines[0] == f"withdrawn from films: {', '.join(sorted([second, third]))}"
    assert lines[1] == f"already withdrawn: {first}"
    assert lines[2].startswith("conf/withdrawn/films.txt has 3 patients and params.yaml follows it")
    assert withdrawn.path("films").read_text().splitlines() == sorted([first, second, third])


def test_every_model_on_record_that_saw_them_is_named(recorded_once, tmp_path):
    with recorded.inside(recorded.copy(recorded_once, tmp_path / "project")):
        (source,) = load().sources
        patient = split.read(load().experiments[recorded.KEY].split, "train")["patient_id"].iloc[0]
        lines = withdraw(source, [patient])
    assert any(line.startswith(f"patient {patient} of source {source}: ") for line in lines)
    assert any(line.startswith(f"{recorded.KEY}, split ") for line in lines)
    assert any(line.startswith("  trained on   ") for line in lines)


def test_where_no_model_is_on_record_that_is_said(project):
    patient = project.only_in("listed", "train")
    assert said(withdraw("films", [patient]), f"patient {patient}: no model on record is known to have seen them")


@pytest.mark.parametrize("fold", FOLDS)
def test_what_changes_for_others_is_what_the_next_build_changes(fold, project):
    rows = project.of("cut", fold)
    patient = rows.groupby("patient_id")["label_Infiltration"].sum().idxmax()
    before = {name: project.of("cut", name) for name in FOLDS}
    lines = withdraw("films", [patient])
    project.build(shards=False)
    for name, was in before.items():
        now = project.of("cut", name)
        (line,) = said(lines, f"split cut, {name}: ") or [""]
        for way, some, others in (("enters", now, was), ("leaves", was, now)):
            moved = set(some["patient_id"][~some["image_id"].isin(others["image_id"])]) - {patient}
            assert set(said(line.split("; "), f"another patient {way}: ")) == moved
        both = was.merge(now, on="image_id")
        redrawn = both.loc[both["draws_x"] != both["draws_y"], "image_id"].tolist()
        assert (f"; shown more or less often, {len(redrawn)} image" in line) == bool(redrawn)
        assert all(image in line for image in redrawn[:10])
        assert bool(line) == (not was.equals(now))
        if fold == "test":  # whoever takes the patient's place was trained on
            assert bool(redrawn) == (name == "train")


@pytest.mark.parametrize(
    ("fold", "run", "rests"),
    [("test", {"predict"}, {"warm_start", "fine_tune"}), ("train", {"warm_start", "fine_tune", "predict"}, set())],
)
def test_the_stages_that_run_again_are_named_and_no_others(fold, run, rests, project):
    lines = withdraw("films", [project.only_in("listed", fold)])
    (line,) = said(lines, "`dvc repro` will run, because of it: ")
    stages = line.split(", ")
    assert stages.index("catalog@films") < stages.index("resize@films_32") < stages.index("split@listed")
    assert {f"{name}@listed" for name in run} <= set(stages)
    assert not {f"{name}@listed" for name in rests} & set(stages)
    assert {"split@other", "compare", "code"} <= set(stages)
    assert "download@films" not in stages
    assert [stage for stage in stages if stage.startswith("recipe") or stage.endswith("@other")] == ["split@other"]


# --- the list and params.yaml ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        "withdrawn:\n  films: []\n",
        "withdrawn: {films: []}\n",
        "withdrawn:\n  films: []  # nobody\n\n# said here\n",
    ],
)
def test_of_params_yaml_only_the_section_changes_whatever_a_hand_wrote_elsewhere(block, project):
    before, after = PARAMS.read_text().split("withdrawn:\n  films: []\n")
    before = before.replace("profile: test", "profile:   'test'  # by hand")
    kept = "\n# said here\n" if "said" in block else ""
    wanted = f"{before}withdrawn:\n  films:\n  - '12'\n  - '7'\n{kept}{after}"
    assert edited(f"{before}{block}{after}", ["withdrawn"], {"films": ["12", "7"]}) == wanted


def test_parameters_from_before_there_were_withdrawals_get_the_section(project):
    (patient,) = drawn(project, seed=1, count=1)
    before = PARAMS.read_text().replace("withdrawn:\n  films: []\n", "").removesuffix("\n")
    PARAMS.write_text(before)
    withdraw("films", [patient])
    assert PARAMS.read_text() == f"{before}\nwithdrawn:\n  films:\n  - '{patient}'\n"
    assert load().withdrawn == {"films": (patient,)}


# --- refusals ----------------------------------------------------------------------------------------------


def refusal(project, patients, source="films"):
    """What is said; nothing may be written."""
    before = project.files(".")
    with pytest.raises(GlassboxError) as refused:
        withdraw(source, patients)
    after = {name: content for name, content in project.files(".").items() if not name.startswith("work/locks/")}
    assert after == {name: content for name, content in before.items() if not name.startswith("work/locks/")}
    return refused.value


def test_a_source_that_is_none_is_refused(project):
    error = refusal(project, drawn(project, seed=1), source="flims")
    assert (error.found, error.expected) == ("params.yaml has no source 'flims'", "one of: films")


def test_a_patient_who_is_none_is_refused_with_the_nearest_that_are(project):
    known = drawn(project, seed=1)
    error = refusal(project, [*known, "8 8", "1000"])
    assert error.found == "films has no patient '1000', '8 8'"
    nearest = error.expected.removeprefix("patients of its catalog, the nearest are ").split(", ")
    assert "88" in nearest
    assert set(nearest) <= set(project.patients())
    assert "such as 1, 10, 11" in refusal(project, ["nobody"]).expected


def test_without_a_catalog_it_is_said_how_to_get_one(project):
    patients = drawn(project, seed=1)
    catalog.path("films").unlink()
    error = refusal(project, patients)
    assert error.found == "data/catalogs/films.parquet is not there"
    assert "`dvc pull data/catalogs/films.parquet`" in error.action
    assert "`dvc repro catalog@films`" in error.action


@pytest.mark.parametrize(
    ("of", "found"),
    [("label_Infiltration", "test: no image of "), ("label_Mass", "test: no image of ")],
)
def test_patients_without_whom_a_fold_would_lack_a_class_are_refused(of, found, project):
    rows = project.of("listed", "test")
    error = refusal(project, rows.loc[rows[of] == 1, "patient_id"].tolist())
    assert error.found.startswith("without these patients, splits.listed: a fold lacks a class (")
    assert found in error.found
    assert error.expected == "images of each class in every fold"


def test_everybody_of_a_fold_or_of_a_class_is_refused(project):
    assert "official test list" in refusal(project, project.of("listed", "test")["patient_id"].tolist()).found
    everybody = refusal(project, project.patients())
    assert all(f"splits.{name}" in everybody.found for name in ("listed", "other", "cut"))


def test_a_split_that_cannot_be_made_anyway_stops_no_withdrawal(project):
    values = yaml.safe_load(PARAMS.read_text())
    values["splits"]["cut"]["sample"] = 100_000
    PARAMS.write_text(yaml.safe_dump(values, sort_keys=False))
    withdraw("films", drawn(project, seed=1))


def test_parameters_that_cannot_be_edited_are_refused(project):
    patients = drawn(project, seed=1)
    PARAMS.write_text(yaml.safe_dump(yaml.safe_load(PARAMS.read_text()), default_flow_style=True))
    assert "cannot be replaced" in refusal(project, patients).found


def test_outside_of_a_dvc_project_nothing_is_withdrawn(project):
    (project.root / ".dvc" / "config").unlink()
    (project.root / ".dvc").rename(project.root / "elsewhere")
    assert refusal(project, drawn(project, seed=1)).found.startswith("DVC: you are not inside of a DVC repository")


def test_the_command_prints_what_it_did_and_ends_a_mistake_with_status_1(project):
    (patient,) = drawn(project, seed=1, count=1)
    done = CliRunner().invoke(cli.main, ["withdraw", "--source", "films", "--patient", patient])
    assert done.exit_code == 0
    assert done.output.startswith(f"withdrawn from films: {patient}\n")
    wrong = CliRunner().invoke(cli.main, ["withdraw", "--source", "films", "--patient", "nobody"])
    assert wrong.exit_code == 1
    assert wrong.output.startswith("glassbox withdraw: films has no patient 'nobody'\n  expected: ")


# --- killed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operations", [(8,), pytest.param(range(1, 50), marks=pytest.mark.long)], ids=str)
def test_a_kill_at_any_moment_leaves_parameters_that_follow_the_list_or_are_refused_because_they_do_not(
    operations, project, monkeypatch
):
    patients = sorted(drawn(project, seed=1))
    old = PARAMS.read_text()
    monkeypatch.setenv("PYTHONPATH", str(Path(killed_withdrawal.__file__).parent), prepend=os.pathsep)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_withdrawal"])
    lagging = 0
    for operation in operations:
        process = context.Process(
            target=killed_withdrawal.withdrawn, args=(project.root, patients, operation), daemon=True
        )
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        listed = withdrawn.read("films")
        assert listed in ([], patients)
        if listed and PARAMS.read_text() == old:
            lagging += 1
            with pytest.raises(ParamsError, match=r"withdrawn\.films does not say what conf/withdrawn/films"):
                load()
        else:
            assert load().withdrawn["films"] == tuple(listed)
        again = ", ".join(patients) if not listed else "nobody new"
        assert withdraw("films", patients)[0] == f"withdrawn from films: {again}"
        assert load().withdrawn["films"] == tuple(patients)
        assert [path.name for path in withdrawn.LISTS.iterdir()] == ["films.txt"]
        withdrawn.path("films").unlink()
        PARAMS.write_text(old)
    assert lagging > 0
    assert process.exitcode == 0 or len(operations) == 1
