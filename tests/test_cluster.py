"""A cluster of one's own that ends with its block, one that an address names, and addresses of none."""

import gc
import os
import re
import urllib.request
from types import SimpleNamespace

import psutil
import pytest
from distributed import LocalCluster

from glassbox import cluster


def _refusal():
    with pytest.raises(cluster.ClusterError) as refusal, cluster.connected():
        pass
    assert refusal.value.expected == "the address of a running `dask scheduler`"
    assert "unset DASK_SCHEDULER_ADDRESS" in refusal.value.action
    return refusal.value.found


def _listening(*pids):
    """Where processes wait for others to call."""
    return {
        tuple(place.laddr)
        for pid in pids
        for place in psutil.Process(pid).net_connections()
        if place.status == psutil.CONN_LISTEN
    }


def test_the_named_cluster_is_used_and_lasts(monkeypatch):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as local:
        monkeypatch.setenv(cluster.ADDRESS, local.scheduler_address)
        for _ in range(2):
            with cluster.connected() as client:
                assert client.scheduler.address == local.scheduler_address
                assert client.submit(sum, [1, 2], pure=False).result() == 3


@pytest.mark.parametrize("address", ["nowhere://at-all", "tcp://127.0.0.1:port", "tls://127.0.0.1:1"])
def test_an_address_that_is_none_is_refused_with_one_message(address, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, address)
    assert _refusal().startswith(f"DASK_SCHEDULER_ADDRESS={address}: no scheduler answers (")


@pytest.mark.long
def test_an_address_where_nobody_listens_is_refused_with_one_message(monkeypatch):
    """The client tries for 30 s, since a scheduler may be about to start."""
    monkeypatch.setenv(cluster.ADDRESS, "tcp://127.0.0.1:1")
    assert _refusal().startswith("DASK_SCHEDULER_ADDRESS=tcp://127.0.0.1:1: no scheduler answers (")


@pytest.mark.parametrize("address", ["nowhere://at-all", "tls://127.0.0.1:1", "tcp://127.0.0.1:1"])
def test_a_scheduler_that_is_lost_once_it_has_answered_leaves_no_half_built_client(address, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, address)
    monkeypatch.setattr(cluster, "ask", lambda *_: None)
    monkeypatch.setattr(cluster, "_ANSWER", 0.5)
    found = []
    monkeypatch.setattr(cluster.Client, "__del__", lambda client: found.append(client.status))
    assert _refusal().startswith(f"DASK_SCHEDULER_ADDRESS={address}: no scheduler answers (")
    gc.collect()
    assert set(found) == {"closed"}, "the garbage collector has nothing to close"


@pytest.mark.parametrize(
    ("stated", "asked"),
    [
        ([], {}),
        ([{}, {}], {}),
        ([{"GPU": 1}, {}], {"GPU": 1}),
        ([{"GPU": 2, "MEMORY": 9e9}, {"MEMORY": 9e9}], {"GPU": 1, "MEMORY": 3e9}),
        ([{"GPU": 1, "MEMORY": 2e9}, {"MEMORY": 9e9}], {"GPU": 1, "MEMORY": 2e9}),
        ([{"GPU": 1}, {"MEMORY": 9e9}], {"GPU": 1}),
    ],
)
def test_a_task_asks_for_what_workers_state_and_never_for_more_than_one_of_them_has(stated, asked):
    workers = {str(number): {"resources": resources} for number, resources in enumerate(stated)}
    client = SimpleNamespace(scheduler_info=lambda **_: {"workers": workers})
    assert cluster._demands(client, {"GPU": 1, "MEMORY": 3e9}) == asked


@pytest.mark.parametrize(
    ("visible", "found"), [("", []), ("-1", []), ("3", ["3"]), ("0,MIG-a", ["0", "MIG-a"]), (None, ["0", "1"])]
)
def test_the_gpus_are_those_that_are_visible_or_all_that_the_driver_lists(visible, found, monkeypatch, tmp_path):
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(cluster, "NVIDIA", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cluster.gpus() == found


def test_a_local_worker_is_started_with_its_own_environment_and_resources(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cluster.ADDRESS, raising=False)
    own = [{"env": {"CUDA_VISIBLE_DEVICES": gpu}, "resources": {"GPU": 1}, "memory_limit": None} for gpu in "37"]
    with cluster.connected(own) as client:
        assert set(client.run(os.getenv, "CUDA_VISIBLE_DEVICES").values()) == {"3", "7"}
        assert set(cluster.results(client, abs, [-1, 2], place="x", one="y", takes={"GPU": 1, "MEMORY": 1})) == {
            1,
            2,
        }


def test_an_empty_address_names_no_cluster_and_the_local_one_ends_with_its_block(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cluster.ADDRESS, "")
    before = _listening(os.getpid())
    with cluster.connected() as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert len(workers) == len(os.sched_getaffinity(0))
        assert {worker["nthreads"] for worker in workers} == {1}
        pids = set(client.run(os.getpid).values())
        assert os.getpid() not in pids
        assert {ip for ip, _ in _listening(os.getpid(), *pids) - before} == {"127.0.0.1"}
        (address,) = re.findall(r"^Dask dashboard: (http://\S+)$", capfd.readouterr().err, re.MULTILINE)
        with urllib.request.urlopen(address, timeout=30) as page:  # noqa: S310 (on loopback)
            assert "<title>Dask Diagnostic UI</title>" in page.read().decode()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    # What it spills lies in the project's own folder for unfinished work.
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
