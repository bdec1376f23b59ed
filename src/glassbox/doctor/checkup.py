"""All checks, the quick ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.doctor import disk, inputs, machine, project
from glassbox.doctor.archives import stock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dvc.repo import Repo

    from glassbox.doctor.finding import Finding
    from glassbox.params.document import Params


def findings() -> Iterator[Finding]:
    """What each check finds in the working directory; what needs parameters or a repository waits for them."""
    found, params = project.parameters()
    yield found
    found, repo = project.repository()
    yield found
    try:
        if repo:
            yield project.code()
            yield project.packages()
        yield from _work(params, repo)
    finally:
        if repo:
            repo.close()
    yield machine.cores()
    yield machine.memory()
    yield machine.cluster()
    yield machine.loops()
    yield project.store()
    yield machine.accelerators()


def _work(params: Params | None, repo: Repo | None) -> Iterator[Finding]:
    """What is to be done, and where it will lie."""
    if params and repo:
        yield project.pipeline(repo)
    way = "hardlink"
    if repo:
        found, way = disk.link(repo)
        yield found
    if params:
        stocks = {key: stock(source, key) for key, source in params.sources.items()}
        yield inputs.credentials(params, stocks)
        yield from inputs.archives(params, stocks)
        yield from inputs.weights(params)
        if repo:
            sizes = disk.outputs(params, stocks, way)
            yield from disk.room(sizes, way, disk.cache(repo))
