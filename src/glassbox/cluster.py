"""The Dask cluster that works for a stage: a local one, or the one that `DASK_SCHEDULER_ADDRESS` names."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.system import cpu_count
from distributed import Client, KilledWorker, Nanny, Scheduler, Security, SpecCluster, as_completed
from distributed.comm import connect
from distributed.core import send_recv

from glassbox.errors import GlassboxError
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ADDRESS = "DASK_SCHEDULER_ADDRESS"
#: Seconds a scheduler has to answer.
_ANSWER = 30
#: Where NVIDIA's driver lists its devices.
NVIDIA = Path("/proc/driver/nvidia/gpus")


class ClusterError(GlassboxError):
    """The cluster cannot be reached, or its workers die or differ."""


class _Client(Client):  # type: ignore[misc]  # Dask's has no types
    """A client that closes itself where it cannot connect.

    Dask leaves that to the garbage collector, which may come by while a lock is held that closing needs: the
    process then hangs.
    """

    def start(self, **settings: Any) -> None:
        try:
            super().start(**settings)
        except BaseException:
            self.close()
            raise


@contextmanager
def connected(workers: Sequence[Mapping[str, Any]] | None = None) -> Iterator[Client]:
    """Yields a client of the cluster; a local one ends with the block.

    Args:
        workers: Options of `distributed.Nanny` for each process of a local cluster, beside those that all have.
            None stands for a process a core. Each has one thread.

    Raises:
        ClusterError: `DASK_SCHEDULER_ADDRESS` is set and nothing answers there within 30 s.
    """
    if address := os.environ.get(ADDRESS):
        ask(address, _ANSWER)
        # It may be lost before a client has found it.
        with _answering(address, _ANSWER):
            client = _Client(address, timeout=_ANSWER)
        with client:
            _say(client)
            yield client
        return
    scratch = WORK / "dask"
    scratch.mkdir(parents=True, exist_ok=True)
    # Dask would serve its pages to all interfaces, and warn where its usual port is taken.
    everyone = {"host": "127.0.0.1", "dashboard": True, "dashboard_address": "127.0.0.1:0"}
    common = {
        "nthreads": 1,
        "local_directory": str(scratch.resolve()),
        "silence_logs": logging.WARNING,
        **everyone,
    }
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        SpecCluster(
            # Cores: what affinity and the container's quota leave.
            workers={
                number: {"cls": Nanny, "options": {**common, **own}}
                for number, own in enumerate([{}] * cpu_count() if workers is None else workers)
            },
            scheduler={"cls": Scheduler, "options": everyone},
            silence_logs=logging.WARNING,
        ) as cluster,
        _Client(cluster) as client,
    ):
        _say(client)
        try:
            yield client
        finally:
            # That a worker is killed since it takes seconds to end is no news: its work is done.
            logging.getLogger("distributed.nanny").setLevel(logging.ERROR)


def results(
    client: Client,
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    place: str,
    one: str,
    takes: Mapping[str, float],
    retries: int = 0,
) -> Iterator[Any]:
    """Yields what `work`, which workers can import, returns of each task, whichever is finished first.

    Args:
        client: Of the cluster.
        work: What is done with a task.
        tasks: All of them.
        place: What it is done for, a block of params.yaml, for messages.
        one: What a task is called in messages.
        takes: What a task takes of Dask's resources; `MEMORY` is in bytes.
        retries: How often a task is run again that raised something.

    Raises:
        ClusterError: The scheduler is lost, or workers die over a task. Besides, what `work` raises.
    """
    again = "run `dvc repro` again, which goes on where this one stopped"
    finished = as_completed(
        client.map(work, tasks, pure=False, retries=retries, resources=_demands(client, takes)), with_results=True
    )
    try:
        for future, result in finished:
            if future.cancelled():
                found = f"{place}: the scheduler at {client.scheduler.address} was lost"
                raise ClusterError(found, "a scheduler that stays", f"look into its log; {again}")
            yield result
    except KilledWorker as error:
        raise ClusterError(
            f"{place}: {error.last_worker.address} and workers before it died over one {one}",
            f"workers with about {takes['MEMORY'] / 1e6:,.0f} MB of memory each that stay",
            f"look into their logs; {again}",
        ) from None


def _demands(client: Client, takes: Mapping[str, float]) -> dict[str, float]:
    """What a task asks of a worker: as much as it takes, or as the best has, of each resource that some state."""
    workers = [worker["resources"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    demands = {}
    for name, amount in takes.items():
        if most := max((stated.get(name, 0) for stated in workers), default=0):
            demands[name] = min(amount, most)
            workers = [stated for stated in workers if stated.get(name, 0) >= demands[name]]
    return demands


def gpus() -> list[str]:
    """This machine's GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(NVIDIA.glob("*"))]


def ask(address: str, seconds: float) -> dict[str, Any]:
    """What the scheduler at an address says of itself: among it `workers` by address, each with its `nthreads`.

    Raises:
        ClusterError: No scheduler answers there within so many seconds.
    """
    with _answering(address, seconds):
        return asyncio.run(asyncio.wait_for(_identity(address, seconds), seconds))


@contextmanager
def _answering(address: str, seconds: float) -> Iterator[None]:
    try:
        yield
    # TypeError: tls:// without its settings; the others are what a server of another kind answers.
    except (OSError, TypeError, ValueError, KeyError, MemoryError) as error:
        raise ClusterError(
            f"{ADDRESS}={address}: no scheduler answers ({str(error) or f'nothing within {seconds:g} s'})",
            "the address of a running `dask scheduler`",
            f"start one, or unset {ADDRESS} to work on this machine's cores",
        ) from None


async def _identity(address: str, seconds: float) -> dict[str, Any]:
    comm = await connect(address, timeout=seconds, **Security().get_connection_args("client"))
    try:
        said: dict[str, Any] = await send_recv(comm, op="identity")
    finally:
        comm.abort()
    if said["type"] != "Scheduler":
        raise ValueError(f"a {said['type']} does")
    return said


def _say(client: Client) -> None:
    print(f"Dask dashboard: {client.dashboard_link}", file=sys.stderr)
