"""The Dask cluster that shards are built on: a local one, or the one that `DASK_SCHEDULER_ADDRESS` names."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dask
from dask.system import cpu_count
from distributed import Client, LocalCluster, Security
from distributed.comm import connect
from distributed.core import send_recv

from glassbox.errors import GlassboxError
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "DASK_SCHEDULER_ADDRESS"
#: Seconds a scheduler has to answer.
_ANSWER = 30


class ClusterError(GlassboxError):
    """The cluster cannot be reached, or its workers die."""


@contextmanager
def connected() -> Iterator[Client]:
    """Yields a client of the cluster; a local one has a single-threaded process a core and ends with the block.

    Raises:
        ClusterError: `DASK_SCHEDULER_ADDRESS` is set and nothing answers there within 30 s.
    """
    if address := os.environ.get(ADDRESS):
        ask(address, _ANSWER)
        with Client(address, timeout=_ANSWER) as client:
            _say(client)
            yield client
        return
    scratch = WORK / "dask"
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        LocalCluster(
            # What affinity and the container's quota leave.
            n_workers=cpu_count(),
            threads_per_worker=1,
            # None would serve them to all interfaces, and warn where Dask's usual port is taken.
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            local_directory=str(scratch.resolve()),
        ) as cluster,
        Client(cluster) as client,
    ):
        _say(client)
        yield client


def ask(address: str, seconds: float) -> dict[str, Any]:
    """What the scheduler at an address says of itself: among it `workers` by address, each with its `nthreads`.

    It is asked without a client: one that cannot connect may hang in its own finaliser.

    Raises:
        ClusterError: No scheduler answers there within so many seconds.
    """
    try:
        return asyncio.run(asyncio.wait_for(_identity(address, seconds), seconds))
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
