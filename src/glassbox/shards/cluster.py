"""The Dask cluster that shards are built on: a local one, or the one that `DASK_SCHEDULER_ADDRESS` names."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dask
from dask.system import cpu_count
from distributed import Client, LocalCluster

from glassbox import layout
from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "DASK_SCHEDULER_ADDRESS"


class ClusterError(GlassboxError):
    """The cluster cannot be reached, or its workers die."""


@contextmanager
def connected() -> Iterator[Client]:
    """Yields a client of the cluster; a local one has a single-threaded process a core and ends with the block.

    Raises:
        ClusterError: `DASK_SCHEDULER_ADDRESS` is set and nothing answers there within 30 s.
    """
    if address := os.environ.get(ADDRESS):
        try:
            client = Client(address, timeout=30)
        except (OSError, TypeError, ValueError) as error:  # TypeError: tls:// without its settings
            raise ClusterError(
                f"{ADDRESS}={address}: no scheduler answers ({error})",
                "the address of a running `dask scheduler`",
                f"start one, or unset {ADDRESS} to work on this machine's cores",
            ) from None
        with client:
            _say(client)
            yield client
        return
    scratch = layout.WORK / "dask"
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


def _say(client: Client) -> None:
    print(f"Dask dashboard: {client.dashboard_link}", file=sys.stderr)
