"""All checks, the quick ones first."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from glassbox.doctor import inputs, machine, project
from glassbox.doctor.finding import examine, finding
from glassbox.params.weights import FileWeights, ImagenetWeights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dvc.repo import Repo

    from glassbox.doctor.finding import Finding
    from glassbox.params.document import Params


def findings() -> Iterator[Finding]:
    """What each check finds in the working directory; what needs parameters or a repository waits for them."""
    found, params = examine("parameters", project.parameters)
    yield found
    found, repo = examine("repository", project.repository)
    yield found
    try:
        if repo:
            yield finding("code", project.code)
            yield finding("packages", project.packages)
        yield from _work(params, repo)
    finally:
        if repo:
            repo.close()
    yield finding("cores", machine.cores)
    yield finding("memory", machine.memory)
    yield finding("Dask", machine.cluster)
    yield finding("compiled loops", machine.loops)
    yield finding("MLflow store", project.store)
    yield finding("accelerators", machine.accelerators)


def _work(params: Params | None, repo: Repo | None) -> Iterator[Finding]:
    """What is to be done, and where it will lie."""
    link = None
    if repo:
        if params:
            yield finding("pipeline", partial(project.pipeline, repo))
        found, link = examine("link type", partial(machine.link, repo))
        yield found
    if not params:
        return
    sources = {
        key: examine(f"sources.{key}", partial(inputs.archive, source, key))
        for key, source in params.sources.items()
    }
    archives = {key: archive for key, (_, archive) in sources.items() if archive}
    yield finding("Kaggle credentials", partial(inputs.credentials, params, archives))
    for found, _ in sources.values():
        yield found
    for key, weights in params.weights.items():
        if isinstance(weights, FileWeights | ImagenetWeights):
            yield finding(f"weights.{key}", partial(inputs.weights, weights, key))
    if repo:
        yield finding("disk", partial(machine.room, params, archives, link or "copy", Path(repo.cache.local.path)))
