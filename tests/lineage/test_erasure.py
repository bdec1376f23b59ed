"""`glassbox withdraw --erase`: afterwards nothing at hand holds the patients, and whatever did says so."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import dvc.repo
import killed_erasure
import pytest
import recorded
import searched
import yaml
from click.testing import CliRunner
from dvc_objects.db import ObjectDB

from glassbox import cli
from glassbox.errors import GlassboxError
from glassbox.lineage.audit import proved
from glassbox.lineage.erasure import journal, ledger
from glassbox.lineage.erasure.erase import erase
from glassbox.lineage.erasure.ledger import ErasureError
from glassbox.lineage.link import Verdict
from glassbox.lineage.lock import LineageError
from glassbox.lineage.parcel import parcel, vault, verify
from glassbox.lineage.rebuild.rebuild import rebuild
from glassbox.lineage.trace import answer
from glassbox.lineage.trace.trace import trace
from glassbox.params import withdrawn
from glassbox.tracking import registry
from glassbox.tracking.model import ERASED_TAG, SHA256_TAG
from glassbox.tracking.store import existing

#: Of each fold one or more; without them the split can still be made.
PATIENTS = ("1", "10", "11", "14", "2")
#: Who stays, and was trained on.
OTHER = "13"
ALIAS = "champion"


def far_away(root, folder):
    """Configures a remote `far`, and pushes to it."""
    (root / ".dvc/config.local").write_text(f"[core]\n    remote = far\n['remote \"far\"']\n    url = {folder}\n")
    with dvc.repo.Repo(str(root)) as repo:
        repo.push()


@pytest.fixture(scope="module")
def erased(tmp_path_factory, recorded_once, signing_key):
    """A project before and after: with a remote, an alias, a parcel and a temporary experiment."""
    folder = tmp_path_factory.mktemp("erased")
    root = recorded.copy(recorded_once, folder / "project")
    with recorded.inside(root):
        registry.promote(recorded.KEY, ALIAS)
        record = proved(recorded.MODEL, root)
        made = parcel.export(record, folder / "parcel", signing_key, vault.SECRETS)
        far_away(root, folder / "far")
        shutil.copytree("data/splits", ".dvc/tmp/exps/tmp0/data/splits")
        (root / "work/fine_tune/compact").mkdir(parents=True)
        (root / "work/fine_tune/compact/checkpoint").write_bytes(b"half a training")
        before = recorded.copy(root, folder / "before")
        done = erase("films", PATIENTS, names=["far"])
        recorded.git("add", "-A")
        recorded.git("commit", "-qm", "Erase")
        yield SimpleNamespace(
            root=root,
            before=before,
            far=folder / "far",
            parcel=folder / "parcel",
            made=made,
            done=done,
            record=record,
        )


def found_in(erased, folder):
    return searched.search(folder, searched.needles(erased.before, "films", PATIENTS), PATIENTS)


# --- nothing is left ---------------------------------------------------------------------------------------


def test_an_independent_search_finds_them_before_in_every_place_and_nowhere_afterwards(erased):
    before = {Path(path).relative_to(erased.before).parts[0] for path, _ in found_in(erased, erased.before)}
    assert {".dvc", "data", "predictions", "mlartifacts", "secrets"} <= before
    assert found_in(erased, erased.root) == []
    assert found_in(erased, erased.far) == []
    assert erased.done.left == []


def test_what_is_of_others_stays(erased):
    names = {"models/compact/history.csv", "models/compact/lineage.json", "data/weights/none/weights.json"}
    assert all((erased.root / name).is_file() for name in names)
    kept = {path.name for path in (erased.root / ".dvc/cache/files/md5").rglob("*") if path.is_file()}
    was = {path.name for path in (erased.before / ".dvc/cache/files/md5").rglob("*") if path.is_file()}
    assert {md5[2:] for md5 in ledger.read("films")} == was - kept


def test_the_models_that_saw_them_go_with_their_alias_and_the_run_stays_with_its_scores(erased):
    assert not list(erased.root.rglob("*.keras"))
    store = existing()
    (run,) = store.client.search_runs([store.experiment_id], f"tags.`{SHA256_TAG}` != ''")
    assert run.data.tags[ERASED_TAG].startswith("model.keras, predictions/test_augmented.parquet, predictions/")
    assert run.data.tags[ERASED_TAG].endswith("(conf/withdrawn/films.erased.txt)")
    assert "test_clean_roc_auc" in run.data.metrics
    assert store.client.search_model_versions(f"name = '{recorded.KEY}'") == []
    with pytest.raises(LineageError, match=r"has no model any more: an erasure of patients removed model\.keras"):
        recorded.judged(run.info.run_id)


def test_unfinished_work_that_may_have_read_them_goes(erased):
    assert (erased.before / "work/fine_tune/compact/checkpoint").is_file()
    assert not (erased.root / "work/fine_tune/compact/checkpoint").exists()


def test_the_journal_goes_and_the_lists_have_digests(erased):
    assert not journal.path("films").exists()
    lines = withdrawn.read("films")
    assert len(lines) == len(PATIENTS)
    assert all(line.startswith("erased:") for line in lines)
    assert yaml.safe_load(Path("params.yaml").read_text())["withdrawn"]["films"] == lines


def test_it_says_what_it_cannot_reach(erased):
    said = "\n".join(erased.done.lines)
    for what in ("other clones", "git's history", "backups"):
        assert f"out of reach: {what}" in said or f", {what}" in said or f": {what}" in said


# --- what was handed out ------------------------------------------------------------------------------------


def test_a_parcel_from_before_verifies_and_others_can_still_be_disclosed(erased, tmp_path):
    assert verify.main(["--parcel", str(erased.parcel)]) == 0
    (proof,) = parcel.disclose(erased.parcel, vault.SECRETS, [OTHER], tmp_path / "proofs")
    assert verify.main(["--parcel", str(erased.parcel), str(proof)]) == 0
    with pytest.raises(vault.VaultError, match="has no patient 2"):
        parcel.disclose(erased.parcel, vault.SECRETS, ["2"], tmp_path / "none")


# --- the verdict ---------------------------------------------------------------------------------------------


def test_the_model_of_an_old_revision_is_erased_and_no_longer_rebuildable(erased):
    done, links = recorded.judged(f"{recorded.MODEL}@HEAD~1")
    gone = {name for name, link in links.items() if link.verdict == Verdict.ERASED}
    assert gone >= {recorded.MODEL, "data/archives/films.zip", "data/shards/films_32", "data/splits/squares"}
    assert not done.passed
    for refused in (rebuild, proved):
        with pytest.raises(LineageError, match="is erased, and no longer rebuildable"):
            refused(f"{recorded.MODEL}@HEAD~1", erased.root)


def test_whoever_is_erased_is_not_erased_again_and_that_is_said(erased):
    with recorded.inside(erased.root):
        done = erase("films", PATIENTS[:2])
        assert (done.lines[0], done.left) == ("erased already: 1, 10", [])
        assert recorded.git("status", "--short") == ""


def test_a_copy_that_came_back_is_told_of_and_removed_by_the_ledger(erased):
    path = Path("data/catalogs/films.parquet")
    shutil.copy(erased.before / path, path)
    _, links = recorded.judged()
    assert "yet a copy is here: workspace" in links[str(path)].found
    assert "glassbox withdraw --source films --erase" in links[str(path)].action
    assert erase("films").left == []
    assert not path.exists()


def test_a_trace_says_that_a_patient_is_erased_by_which_ledger_and_which_tables_are_gone(erased, monkeypatch):
    found = trace(erased.root, patient="2")
    assert found.erased == {"films": "conf/withdrawn/films.erased.txt"}
    assert found.unread == []
    assert answer.lines(found)[0] == "patient 2 of source films: erased (conf/withdrawn/films.erased.txt)"
    assert "fine_tune@compact" in answer.lines(found)[1]
    assert not json.loads(answer.as_json(found))["complete"]
    monkeypatch.setattr("glassbox.params.erased.read_key", lambda: None)
    with pytest.raises(LineageError, match="tables of 1 models were erased"):
        trace(erased.root, patient="2")


# --- another clone ------------------------------------------------------------------------------------------


def test_another_clone_follows_by_the_ledger_alone(erased, tmp_path):
    root = recorded.copy(erased.before, tmp_path / "clone")
    shutil.rmtree(root / "secrets")
    for name in ("conf/withdrawn", "params.yaml"):
        shutil.copytree(erased.root / name, root / name, dirs_exist_ok=True) if (
            erased.root / name
        ).is_dir() else shutil.copy(erased.root / name, root / name)
    with recorded.inside(root):
        assert erase("films").left == []
        assert found_in(erased, root) == []
        assert existing().client.search_model_versions(f"name = '{recorded.KEY}'") == []


# --- refusals, and going on ---------------------------------------------------------------------------------


def test_who_is_unknown_or_nobody_is_refused_and_nothing_is_written(recording):
    with pytest.raises(ErasureError, match="nobody is named"):
        erase("films")
    with pytest.raises(GlassboxError, match="films has no patient 'nobody'"):
        erase("films", ["nobody"])
    with pytest.raises(GlassboxError, match="remote nowhere cannot be used"):
        erase("films", [OTHER], names=["nowhere"])
    assert recorded.git("status", "--short") == ""
    assert not journal.path("films").exists()


@pytest.mark.parametrize(
    ("place", "content", "found"),
    [
        ("secrets/withdrawn.key", b"no key", "secrets/withdrawn.key has 6 bytes, not 32"),
        ("archives/films.zip", b"somebody's", "archives/films.zip is there already"),
        ("data/archives/films.zip", None, "data/archives/films.zip is not there"),
    ],
)
def test_what_would_stop_it_half_way_is_refused_while_nothing_is_written(place, content, found, recording):
    path = Path(place)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content) if content else path.unlink()
    with pytest.raises(GlassboxError, match=found):
        erase("films", [OTHER])
    assert recorded.git("status", "--short") == ""
    assert not journal.path("films").exists()


def test_a_remote_that_fails_half_way_is_said_in_one_message_and_the_same_again_ends_it(
    erased, tmp_path, monkeypatch
):
    root, far, left = recorded.copy(erased.before, tmp_path / "project"), tmp_path / "far", iter(range(3))
    delete = ObjectDB.delete

    def failing(odb, md5):
        if next(left, None) is None:
            raise ConnectionResetError("connection reset")
        delete(odb, md5)

    with recorded.inside(root):
        far_away(root, far)
        monkeypatch.setattr(ObjectDB, "delete", failing)
        with pytest.raises(LineageError, match="remote far failed") as refused:
            erase("films", PATIENTS, names=["far"])
        monkeypatch.setattr(ObjectDB, "delete", delete)
        assert "`--erase --remote far`" in refused.value.action
        assert found_in(erased, far) != []
        assert erase("films", names=["far"]).left == []
        assert found_in(erased, far) == []


def test_models_stay_where_that_is_asked_and_the_command_says_so(recording):
    done = CliRunner().invoke(
        cli.main, ["withdraw", "--source", "films", "--patient", "12", "--erase", "--keep-models"]
    )
    assert (done.exit_code, done.stderr) == (0, "")
    assert "kept, as asked, though they saw them" not in done.output  # they were only tested on this patient
    assert Path(recorded.MODEL).is_file()
    assert "predictions/compact/test_clean.parquet" in ledger.read("films").values()


def test_options_of_an_erasure_are_refused_without_it():
    for words in ([], ["--patient", "1", "--keep-models"], ["--patient", "1", "--remote", "x"]):
        done = CliRunner().invoke(cli.main, ["withdraw", "--source", "films", *words])
        assert done.exit_code == 1
        assert "is given" in done.stderr


@pytest.mark.parametrize(
    "operations", [(150,), pytest.param(range(5, 20_000, 90), marks=pytest.mark.long)], ids=["one", "many"]
)
def test_killed_at_any_moment_the_same_command_without_patients_goes_on(operations, erased, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(killed_erasure.__file__).parent), prepend=os.pathsep)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_erasure"])
    marks = searched.needles(erased.before, "films", PATIENTS)
    for operation in operations:
        root = recorded.copy(erased.before, tmp_path / f"killed{operation}")
        with recorded.inside(root):
            process = context.Process(target=killed_erasure.erased, args=(root, PATIENTS, operation), daemon=True)
            process.start()
            process.join(60)
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            assert erase("films").left == []
            assert searched.search(root, marks, PATIENTS) == []
            assert ledger.read("films") == ledger.read("films", erased.root)
        shutil.rmtree(root)
    assert process.exitcode == 0 or len(operations) == 1
