import os

import psutil
import pytest

from glassbox.shards import cluster


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


def test_the_named_cluster_is_used_and_lasts(monkeypatch, scheduler):
    monkeypatch.setenv(cluster.ADDRESS, scheduler)
    for _ in range(2):
        with cluster.connected() as client:
            assert client.scheduler.address == scheduler
            assert client.submit(sum, [1, 2], pure=False).result() == 3


@pytest.mark.parametrize("address", ["nowhere://at-all", "tcp://127.0.0.1:port"])
def test_an_address_that_is_none_is_refused_with_one_message(address, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, address)
    assert _refusal().startswith(f"DASK_SCHEDULER_ADDRESS={address}: no scheduler answers (")


@pytest.mark.long
def test_an_address_where_nobody_listens_is_refused_with_one_message(monkeypatch):
    """The client tries for 30 s, since a scheduler may be about to start."""
    monkeypatch.setenv(cluster.ADDRESS, "tcp://127.0.0.1:1")
    assert _refusal().startswith("DASK_SCHEDULER_ADDRESS=tcp://127.0.0.1:1: no scheduler answers (")


def test_an_empty_address_names_no_cluster_and_the_local_one_ends_with_its_block(monkeypatch, tmp_path):
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
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    # What it spills lies in the project's own folder for unfinished work.
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
