from __future__ import annotations

import base64
import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import finished
import pytest

from glassbox.tracking.run import Run
from glassbox.tracking.store import EXPERIMENT, TrackingError, open_store, tracking_uri

RACE = """
import multiprocessing
import mlflow.store.tracking.sqlalchemy_store
from glassbox.tracking.store import open_store

def race(start, opened):
    start.wait()
    opened.put(open_store().experiment_id)

context = multiprocessing.get_context("fork")
start, opened = context.Barrier(2), context.Queue()
racers = [context.Process(target=race, args=(start, opened)) for _ in range(2)]
for racer in racers:
    racer.start()
for racer in racers:
    racer.join()
assert [racer.exitcode for racer in racers] == [0, 0]
assert opened.get() == opened.get()
"""


def test_two_processes_that_create_the_store_at_once_share_one_experiment(empty: Path) -> None:
    subprocess.run([sys.executable, "-c", RACE], check=True)
    client = open_store().client
    assert [found.name for found in client.search_experiments()].count(EXPERIMENT) == 1


def test_the_store_lies_in_the_root_that_dvc_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = project / "clone"
    clone.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.chdir(clone)
    experiment = open_store().client.get_experiment_by_name(EXPERIMENT)
    assert (project / "mlflow.db").is_file()
    assert experiment.artifact_location == (project / "mlartifacts").as_uri()
    assert list(clone.iterdir()) == []


def test_a_relative_database_is_relative_to_the_root(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///stores/ours.db")
    assert tracking_uri() == f"sqlite:///{project}/stores/ours.db"
    (project / "stores").mkdir()
    (project / "mlflow.db").rename("stores/ours.db")
    open_store()
    assert not (project / "mlflow.db").exists()


def test_an_experiment_deleted_in_the_ui_is_brought_back(project: Path) -> None:
    store = open_store()
    store.client.delete_experiment(store.experiment_id)
    assert open_store().experiment_id == store.experiment_id
    assert store.client.get_experiment(store.experiment_id).lifecycle_stage == "active"


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:hidden@127.0.0.1:9",
        "postgresql://user:hid/d@en@127.0.0.1:9/runs",
        "mysql+nodriver://user:hidden@127.0.0.1:9/runs?password=hidden",
        "nonsense://user:hidden@127.0.0.1",
        "file:///tmp/runs?password=hidden",
    ],
)
def test_a_store_that_cannot_be_used_is_refused_at_once_and_without_its_password(
    uri: str, ready: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    made, start = finished.origin("compact"), time.monotonic()
    with (
        pytest.raises(TrackingError) as refused,
        Run(made),
    ):
        pytest.fail("trained without a store")
    assert time.monotonic() - start < 20
    assert uri.partition("://")[0] in refused.value.found
    assert "MLFLOW_TRACKING_URI" in refused.value.action
    said = str(refused.value) + "".join(capfd.readouterr())
    assert "hid" not in said
    assert "d@en" not in said
    assert refused.value.__suppress_context__


class Refusal(http.server.BaseHTTPRequestHandler):
    """A server that knows nobody."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers["Authorization"])
        self.send_error(401)

    do_POST = do_GET  # noqa: N815 - the base class names its methods after HTTP's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_a_server_gets_the_password_and_messages_do_not(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:hidden@127.0.0.1:{server.server_port}")
        with pytest.raises(TrackingError) as refused:
            open_store()
        server.shutdown()
    assert f"Basic {base64.b64encode(b'user:hidden').decode()}" in Refusal.asked
    assert "401" in refused.value.found
    assert "hidden" not in str(refused.value) + "".join(capfd.readouterr())


def test_a_database_that_is_none_is_refused_with_the_way_to_write_it_anew(project: Path) -> None:
    Path("mlflow.db").write_text("no database\n" * 1000)
    with pytest.raises(TrackingError, match="glassbox track"):
        open_store()
