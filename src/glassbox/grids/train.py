"""The grid stage: short trainings on the workers of a cluster, a cell each, and all of them as one table.

A finished cell is put aside in `work/grid/<grid>/`, under the fingerprint of what it is made from, and stays there
after the stage: a grid that grows trains the new cells alone.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from dask.system import cpu_count
from distributed import get_worker
from distributed.system import memory_limit

from glassbox import backend, cluster
from glassbox.artifacts import cells
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.damage import ArtifactError
from glassbox.files import fingerprint, locked
from glassbox.networks.errors import ModelError
from glassbox.params.experiments import AllButLastLayers
from glassbox.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glassbox.artifacts.recipe import PhaseRecipe
    from glassbox.params.experiments import Training
    from glassbox.params.grids import Grid

Facts = dict[str, str | int | bool]
#: What a training at the published settings takes of a worker; memory in bytes.
TAKES = {"GPU": 1, "MEMORY": 3_000_000_000}
#: Of a local cluster. Dask looks every 10 ms where a worker is, and lets it give back at once what it frees: each
#: makes a training a tenth longer.
CONFIGURATION = {
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}


@dataclass(frozen=True)
class Job:
    """A cell to train, for whichever worker comes by."""

    root: Path  #: The project's folder, which every worker sees under the same path.
    grid: str  #: Key of the grid.
    images: int  #: How many images of the training fold the cell trains on.
    all_but_last: int  #: How many layers, the last that have parameters, it trains.
    recipe: PhaseRecipe  #: What the cell is trained as.
    first: str = ""  #: The worker that answered first.
    facts: Facts = field(default_factory=dict)  #: What it said that cells are made from, besides recipes.

    @property
    def path(self) -> Path:
        """The trained cell. Beside it lie, in `.npz`, the cell while it is trained, and its lock."""
        made_from = {"recipe": self.recipe.model_dump(mode="json"), **self.facts}
        return WORK / "grid" / self.grid / f"{fingerprint(made_from)}.json"


def train(recipe: PhaseRecipe, grid: Grid, name: str) -> None:
    """Trains every cell of a grid, and writes them, the smallest first.

    Each cell begins anew: from the experiment's seed and its initial weights. What was put aside is taken up,
    within a cell by epoch; the bytes depend neither on that nor on the number of workers.

    Args:
        recipe: The fine-tuning of the grid's experiment, with no grid's choice applied.
        grid: Images and layers of the cells, epochs and steps of each.
        name: The grid's key.

    Raises:
        ModelError: A cell cannot be trained as asked (more images than there are, more layers, no finite loss), or
            data or weights are missing or damaged. Finished cells stay.
        ClusterError: The cluster cannot be reached, or its workers die or differ.
    """
    jobs = [Job(Path.cwd(), name, *cell, _recipe(recipe, grid, *cell)) for cell in grid.cells]
    stage, trained = f"grid@{name}", {}
    with dask.config.set(CONFIGURATION), cluster.connected(_workers(recipe.training, len(jobs))) as client:
        run = partial(cluster.results, client, place=f"grids.{name}", one="cell", takes=TAKES)
        # All workers are asked, and import TensorFlow meanwhile; the others have to be as the one that answers.
        first, facts = next(run(_origin, jobs))
        jobs = [replace(job, first=first, facts=facts) for job in jobs]
        trained = {job.path: cell for job in jobs for cell in _finished(job)}
        print(f"{name}: {len(trained)} of {len(jobs)} cells are there", file=sys.stderr)
        for job, cell in run(_train, [job for job in jobs if job.path not in trained]):
            cells.write(job.path, [cell], stage)
            job.path.with_suffix(".npz").unlink(missing_ok=True)
            trained[job.path] = cell
            print(
                f"{name}: {len(trained)} of {len(jobs)} cells; images {cell.images}, all_but_last "
                f"{cell.all_but_last}: validation accuracy {cell.val_accuracy:.4g}",
                file=sys.stderr,
            )
    cells.write(cells.grid_path(name), [trained[job.path] for job in jobs], stage)
    # Cells of other parameters, data, code or machines; unfinished ones; locks.
    for path in set(jobs[0].path.parent.iterdir()) - set(trained):
        path.unlink()


def _workers(training: Training, most: int) -> list[dict[str, Any]]:
    """The processes of a local cluster: one a GPU, or as many as cores and memory suffice for; `most` at most."""
    visible = cluster.gpus()
    if visible and training.strategy == "mirrored":
        visible = [",".join(visible)]
    fitting = max(1, min(cpu_count() // training.threads, memory_limit() // TAKES["MEMORY"]))
    count = min(len(visible) or fitting, most)
    options: dict[str, Any] = {
        # None: what is mapped of the shards counts as a worker's memory, for which Dask would stop it.
        "memory_limit": None,
        "resources": {"MEMORY": memory_limit() // count},
        # Workers print the traceback of what a job raises; the stage says what it is.
        "silence_logs": logging.CRITICAL,
    }
    if not visible:
        return [options] * count
    options["resources"]["GPU"] = 1
    return [{**options, "env": {"CUDA_VISIBLE_DEVICES": gpu}} for gpu in visible[:count]]


def _recipe(recipe: PhaseRecipe, grid: Grid, images: int, all_but_last: int) -> PhaseRecipe:
    """What a cell is trained as. The freezing is literal: random weights are refused with the parameters."""
    changes = {
        "freeze": AllButLastLayers(all_but_last=all_but_last),
        "epochs": grid.epochs,
        "steps_per_epoch": grid.steps_per_epoch,
        "early_stopping": None,
    }
    training = recipe.training.model_copy(update={"images": images})
    return recipe.model_copy(update={"training": training, "phase": recipe.phase.model_copy(update=changes)})


def _finished(job: Job) -> list[Cell]:
    """The cell that was put aside; none where there is none, or it was damaged on the disk."""
    try:
        return cells.read(job.path, f"grid@{job.grid}")
    except ArtifactError:
        return []


# --- on a worker: its process imports TensorFlow, of which the stage's has no need -----------------------------

#: A worker may have several threads; seeds, kernels, names of layers and the working folder are its process's.
_ALONE = threading.Lock()


def _origin(job: Job) -> tuple[str, Facts]:
    """This worker's address, and what it makes cells from besides their recipes."""
    worker = get_worker().address
    with _inside(job, f"worker {worker}"):
        from glassbox.grids import cell

        return worker, cell.facts(job.recipe)


def _train(job: Job) -> tuple[Job, Cell]:
    """Trains a cell, unless this worker makes it from something else than the first."""
    # Dask gives a job to another worker, too, when it has lost sight of one that still trains.
    with (
        _inside(job, f"images {job.images}, all_but_last {job.all_but_last}"),
        locked(job.path.with_suffix(".lock"), f"a cell of grids.{job.grid}"),
    ):
        from glassbox.grids import cell

        _refuse_other(job, cell.facts(job.recipe))
        accuracies = cell.train(job.recipe, job.path.with_suffix(".npz"))
        return job, Cell(images=job.images, all_but_last=job.all_but_last, **accuracies)


@contextmanager
def _inside(job: Job, place: str) -> Iterator[None]:
    """Works in the project's folder, alone in this process; a refusal gets its place, in a class that travels."""
    if not job.root.is_dir():
        raise cluster.ClusterError(
            f"grids.{job.grid}: worker {get_worker().address} does not see {job.root}",
            "the project's folder on every worker, under the same path",
            "share it, see docs/cluster.md",
        )
    with _ALONE, chdir(job.root):
        backend.start()
        try:
            yield
        except (ModelError, ArtifactError) as error:
            raise ModelError(f"grids.{job.grid}, {place}: {error.found}", error.expected, error.action) from None


def _refuse_other(job: Job, facts: Facts) -> None:
    pairs = {name: (facts.get(name), wanted) for name, wanted in job.facts.items()}
    differing = [f"{name} is {found}, not {wanted}" for name, (found, wanted) in pairs.items() if found != wanted]
    if differing:
        worker = f"worker {get_worker().address} is of another kind than {job.first}"
        raise cluster.ClusterError(
            f"grids.{job.grid}: {worker}: {'; '.join(differing)}",
            "workers of one kind, whose cells can be compared: processor, GPU, packages and data are the same",
            "stop one kind of worker and run `dvc repro` again, which goes on where this one stopped",
        )
