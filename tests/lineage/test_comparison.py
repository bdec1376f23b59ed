"""What is said of two makings of a model: identical, equivalent on another kind of machine, or different."""

from __future__ import annotations

import json
import shutil

import builders
import finished
import numpy as np
import pytest
from click.testing import CliRunner

from glassbox import cli
from glassbox.artifacts import split
from glassbox.evaluation.evaluate import evaluate
from glassbox.lineage.lock import Entry, Lock
from glassbox.lineage.outputs import Output
from glassbox.lineage.rebuild import comparison, outcome
from glassbox.lineage.rebuild import rebuild as rebuilds
from glassbox.lineage.rebuild.comparison import Artifact, First, Pair, Verdict
from glassbox.lineage.rebuild.rebuild import Rebuild

#: Stage -> what it reads and what it writes: one path each.
STAGES = {
    "code": ("src/glassbox", "data/code"),
    "resize@films_32": ("data/code", "data/shards/films_32"),
    "weights@none": ("data/code", "data/weights/none"),
    "fine_tune@one": ("data/shards/films_32", "models/one/model.keras"),
}
ELSEWHERE = finished.MACHINE | {"vendor": "GenuineIntel", "onednn": False}


def tracked(path, content):
    return {"path": path, "hash": "md5", "md5": f"{content:032x}", "size": 1}


def lock(**changed):
    """A lock in which every path has content 1 but for those in `content`; fields of stages are given by name."""
    content = {path: 1 for paths in STAGES.values() for path in paths} | changed.pop("content", {})
    stages = {
        name: Entry(cmd=name, deps=(tracked(read, content[read]),), outs=(tracked(made, content[made]),))
        for name, (read, made) in STAGES.items()
    }
    return Lock(
        schema="2.0",
        stages={name: entry.model_copy(update=changed.get(name, {})) for name, entry in stages.items()},
    )


def judged(rebuilt, machine=(), scores=()):
    found = comparison.artifacts(lock(), rebuilt, STAGES)
    return comparison.judge(found, comparison.first(lock(), rebuilt, list(STAGES)), machine, scores)


def pair(name="roc_auc", recorded=0.8, rebuilt=0.8, width=0.1):
    """A score of the clean test in both makings, each in the middle of its interval."""
    intervals = [(each - width / 2, each + width / 2) for each in (recorded, rebuilt)]
    return Pair("test_clean", name, recorded, rebuilt, *intervals)


# --- Artifacts and the stage that is to blame


def test_equal_locks_are_identical():
    assert judged(lock()) == (Verdict.IDENTICAL, "4 artifacts of 4 stages, made again, have the same bytes")


def test_the_first_stage_that_differs_although_its_inputs_agree_is_blamed():
    after = lock(content={"data/shards/films_32": 2, "models/one/model.keras": 2})
    assert comparison.first(lock(), after, list(STAGES)) == First("resize@films_32", ())
    # The training read other shards: it is not to blame.
    assert judged(after)[1] == "stage resize@films_32 is the first whose outputs differ although its inputs agree"


def test_a_stage_that_ran_on_something_else_is_not_to_blame_where_another_one_is():
    content = {"data/shards/films_32": 2, "data/weights/none": 2}
    after = lock(**{"resize@films_32": {"cmd": "another"}}, content=content)
    assert comparison.first(lock(), after, list(STAGES)) == First("weights@none", ())


@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("src/glassbox", {"content": {"src/glassbox": 2, "data/code": 2}}),
        ("its command", {"code": {"cmd": "another"}, "content": {"data/code": 2}}),
        ("params.yaml", {"code": {"params": {"params.yaml": {"a": 1}}}, "content": {"data/code": 2}}),
    ],
)
def test_a_lock_that_is_not_of_the_files_beside_it_is_named(named, change):
    after = lock(**change)
    assert comparison.first(lock(), after, list(STAGES)) == First("code", (named,))
    assert judged(after) == (
        Verdict.DIFFERENT,
        f"stage code ran on other inputs than dvc.lock says: {named}",
    )


def test_an_output_that_was_not_made_again_is_not_the_same():
    after = lock(**{"weights@none": {"outs": ()}})
    found = comparison.artifacts(lock(), after, STAGES)
    assert [(one.path, one.rebuilt) for one in found if not one.same] == [("data/weights/none", None)]
    assert comparison.first(lock(), after, list(STAGES)) == First("weights@none", ())


def test_the_files_in_a_folder_that_differ_are_named():
    (out,) = lock().stages["resize@films_32"].outs

    def output(members):
        return Output("resize@films_32", out, [], members, is_pushed=True)

    found = Artifact("resize@films_32", "data/shards/films_32", "1", "2")
    before, after = output({"a": "1", "b": "1", "c": "1"}), output({"a": "1", "b": "2", "d": "1"})
    assert comparison.with_files(found, [before], [after]).files == ("b", "c", "d")
    assert comparison.with_files(found, [output({})], [after]).files == ()


# --- Kinds of machine and scores


TRAINED = lock(content={"models/one/model.keras": 2, "data/weights/none": 2})


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([pair(rebuilt=0.84), pair("accuracy", rebuilt=0.76)], Verdict.EQUIVALENT),
        ([pair(rebuilt=0.84), pair("accuracy", rebuilt=0.86)], Verdict.DIFFERENT),
        # In one interval and not in the other.
        ([pair()._replace(rebuilt=0.84, rebuilt_interval=(0.83, 0.85))], Verdict.DIFFERENT),
        ([pair()._replace(recorded=0.84, recorded_interval=(0.83, 0.85))], Verdict.DIFFERENT),
        # The bounds are part of it.
        (
            [pair()._replace(rebuilt=0.85, rebuilt_interval=(0.8, 0.9), recorded_interval=(0.75, 0.85))],
            Verdict.EQUIVALENT,
        ),
        # What has no interval decides nothing, and alone it is not enough.
        ([pair(), pair("loss")._replace(rebuilt=9.0, recorded_interval=None)], Verdict.EQUIVALENT),
        ([pair("loss")], Verdict.DIFFERENT),
        ([], Verdict.DIFFERENT),
    ],
)
def test_on_another_kind_of_machine_each_headline_score_has_to_lie_in_the_others_interval(pairs, verdict):
    assert judged(TRAINED, ["vector_extensions"], pairs)[0] == verdict
    # On the same kind nothing excuses other bytes.
    assert judged(TRAINED, [], pairs)[0] == Verdict.DIFFERENT


def test_another_kind_of_machine_excuses_no_byte_of_the_data():
    after = lock(content={"data/shards/films_32": 2, "models/one/model.keras": 2})
    verdict, because = judged(after, ["vendor"], [pair(), pair("accuracy")])
    assert verdict == Verdict.DIFFERENT
    assert because.startswith("stage resize@films_32 ")


def test_the_score_outside_is_named():
    _, because = judged(TRAINED, ["onednn", "vector_extensions"], [pair(), pair("accuracy", rebuilt=0.7)])
    assert because == (
        "on another kind of machine (onednn, vector extensions) test_clean accuracy lies outside of the other "
        "model's interval"
    )


def test_without_scores_nothing_is_called_equivalent():
    assert "no scores of both are at hand" in judged(TRAINED, ["vendor"])[1]


# --- What the artifacts of a model say


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A project with an evaluated experiment."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        builders.resolve(builders.document(experiments={"one": builders.experiment()}))
        finished.write_split()
        finished.train("one")
        finished.predict("one")
        evaluate("one")
    return folder


@pytest.fixture
def project(evaluated, tmp_path, monkeypatch):
    """A copy of it, as the working directory."""
    shutil.copytree(evaluated, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def test_machine_scores_and_predictions_are_read(project):
    before = comparison.measured("one", "fine_tune")
    assert before.machine == finished.MACHINE
    finished.train("one", finished.origin("one", ELSEWHERE))
    test = split.shown("squares", "test")
    moved = {
        name: np.clip(table.probabilities + np.float32([0.25, 0]), 0, 1)
        for name, table in before.predictions.items()
    }
    finished.predict("one", test, moved)
    after = comparison.measured("one", "fine_tune")
    assert comparison.machines(before, after) == ["vendor", "onednn"]
    assert comparison.machines(before._replace(machine=None), after) == [], "nobody knows"
    told = list(comparison.distances(before.predictions, after.predictions))
    assert [(one.variant, one.images, one.largest) for one in told] == [
        (name, finished.IMAGES["test"], pytest.approx(0.25)) for name in ("test_clean", "test_augmented")
    ]
    wanted = [np.abs(moved[name] - before.predictions[name].probabilities).mean() for name in moved]
    assert [one.mean for one in told] == pytest.approx(wanted)


def test_scores_stand_beside_their_intervals(project):
    found = comparison.measured("one", "fine_tune")
    pairs = comparison.pairs(found, found)
    assert [(one.variant, one.name) for one in pairs[:4]] == [
        ("test_clean", name) for name in ("roc_auc", "accuracy", "average_precision", "loss")
    ]
    scores = found.scores["test_clean"]
    assert pairs[0][2:] == (
        *[scores.roc_auc] * 2,
        *[(scores.roc_auc_low, scores.roc_auc_high)] * 2,
    )
    assert pairs[3].recorded_interval is None
    assert all(one.agrees for one in pairs)


def test_what_git_holds_is_enough_for_machine_and_scores(project):
    whole = comparison.measured("one", "fine_tune")
    for folder in ("data", "models", "predictions"):
        shutil.rmtree(project / folder)
    found = comparison.measured("one", "fine_tune")
    assert (found.machine, found.scores, found.predictions) == (whole.machine, whole.scores, {})


def test_predictions_of_other_images_are_not_compared(project):
    found = comparison.measured("one", "fine_tune").predictions
    table = found["test_clean"]
    other = {"test_clean": table._replace(images=table.images[::-1])}
    assert list(comparison.distances(other, found)) == []


def test_an_older_format_counts_as_not_at_hand(project):
    for path in ("models/one/lineage.json", "metrics/one/machine.json", "metrics/one/scores.json"):
        (project / path).write_text('{"another": 1}\n')
    assert comparison.measured("one", "fine_tune") == (None, None, {})


# --- What is told


def done(verdict=Verdict.DIFFERENT, machine=("vendor",), **changes):
    nothing = comparison.Measured(finished.MACHINE, None, {})
    return Rebuild(
        stage="fine_tune@one",
        commit="a" * 40,
        verdict=verdict,
        because="because",
        artifacts=[Artifact("split@a", "data/splits/a", "1" * 32, "2" * 32, tuple("abcdefg"))],
        first=First("split@a", ()),
        machine=list(machine),
        recorded=nothing,
        rebuilt=nothing._replace(machine=ELSEWHERE),
        scores=[pair(), pair("loss", rebuilt=0.7)._replace(recorded_interval=None, rebuilt_interval=None)],
        distances=[comparison.Distance("test_clean", 1624, 0.031, 0.002)],
        kept=None,
    )._replace(**changes)


def test_what_differs_is_told_with_machines_and_scores():
    told = "\n".join(outcome.lines(done()))
    for line in (
        f"different   data/splits/a: md5 {'2' * 32}, recorded {'1' * 32}",
        "in it: a, b, c, d, e and 2 more",
        "machine     vendor: GenuineIntel, recorded AuthenticAMD",
        "test_clean roc_auc: 0.8000 (0.7500-0.8500), recorded 0.8000 (0.7500-0.8500), +0.0000\n",
        "test_clean loss: 0.7000, recorded 0.8000, -0.1000\n",
        "test_clean: 1,624 images, probabilities differ by 0.002 on average, 0.031 at most",
        "seeds       one was trained",
        "fine_tune@one of commit aaaaaaaaaa: different: because",
    ):
        assert line in told


def test_what_is_not_at_hand_is_told_too():
    unknown = comparison.Measured(None, None, {})
    told = "\n".join(outcome.lines(done(machine=(), recorded=unknown, scores=[], distances=[])))
    assert "machine     what kind the recorded one was is not known" in told
    assert "score       those of both are not at hand" in told
    assert "predictions those of both are not at hand" in told


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.IDENTICAL, 0), (Verdict.EQUIVALENT, 0), (Verdict.DIFFERENT, 1)]
)
def test_the_command_prints_json_alone_and_ends_with_1_where_models_differ(verdict, status, monkeypatch, tmp_path):
    monkeypatch.setattr(rebuilds, "rebuild", lambda *_, keep: done(verdict, kept=keep))
    result = CliRunner().invoke(cli.main, ["rebuild", "models/one/model.keras", "--keep", str(tmp_path), "--json"])
    assert result.exit_code == status
    told = json.loads(result.stdout)
    assert (told["verdict"], told["kept"], told["seeds"]) == (verdict, str(tmp_path), None)
    assert told["machine"]["differs_in"] == ["vendor"]
    assert told["artifacts"][0]["same"] is False
    assert ("fine_tune@one of commit aaaaaaaaaa: different" in result.stderr) == bool(status)
