"""A model is found in whichever commit recorded it."""

import pytest
from recorded_history import Record, md5

from glassbox.lineage.revision import commits


@pytest.fixture
def record(tmp_path):
    """A repository whose `main` recorded a model."""
    record = Record(tmp_path / "project")
    train(record, "main")
    record.commit()
    return record


def train(record, weights):
    """Says that a model was trained; its MD5."""
    path = record.write("models/one/model.keras", f"{weights}\n")
    record.ran("fine_tune@one", outs=[path])
    return md5(record.root / path)


def merge_ours(record, branch):
    """Merges a branch of which nothing is taken, and deletes it."""
    record.git("merge", "-q", "--no-commit", "-s", "ours", branch)
    record.git("branch", "-qD", branch)


def test_a_model_of_a_side_that_a_merge_took_nothing_from_is_found(record):
    record.git("checkout", "-qb", "side")
    model = train(record, "side")
    side = record.commit()
    record.git("checkout", "-q", "main")
    record.git("commit", "-q", "--allow-empty", "-m", "Go on")
    merge_ours(record, "side")
    record.git("commit", "-qm", "Merge")
    assert commits(record.root, model) == [side]


def test_a_model_that_a_merge_itself_recorded_is_found_after_it_was_replaced(record):
    record.git("checkout", "-qb", "side")
    train(record, "side")
    record.commit()
    record.git("checkout", "-q", "main")
    record.git("commit", "-q", "--allow-empty", "-m", "Go on")
    merge_ours(record, "side")
    model = train(record, "merge")
    merge = record.commit("Merge")
    train(record, "after")
    record.commit()
    assert merge in commits(record.root, model)
    assert record.git("rev-list", "--count", "--merges", "HEAD") == "1"
