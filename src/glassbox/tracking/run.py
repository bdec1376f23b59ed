"""One run a model: what it was made from, its curves while it trains, and the model."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from glassbox.artifacts import experiment, model
from glassbox.tracking.curves import Point, agree, curve_points, log_points, points
from glassbox.tracking.model import log_model
from glassbox.tracking.origin import create, find, log_folds, log_origin
from glassbox.tracking.store import Store, describe, open_store, refusing, store_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.experiment import Resolved
    from glassbox.artifacts.model import Lineage


class Run:
    """A model's run while it is being trained.

    The store is no reason to lose a training of hours: when it fails under way, one line on standard error
    says so, nothing more is logged, and `glassbox track` completes the run later from what is on disk.

    Args:
        store: The open store.
        whole: The experiment.
        lineage: What the model is made from, as `model.made_from` has it.
    """

    def __init__(self, store: Store, whole: Resolved, lineage: Mapping[str, Any]) -> None:
        self._store, self._whole, self._lineage = store, whole, lineage
        self._lost = False
        self._rows: list[Mapping[str, float | int | str]] = []
        with store.alone():
            run = find(store, lineage["fingerprint"]) or create(store, lineage)
        self._enter(run)

    def _enter(self, run: MlflowRun) -> None:
        self.id = str(run.info.run_id)
        self._model_sha256 = run.data.tags.get("glassbox.model_sha256")
        self._points: dict[Point, float] = points(self._store, run)
        self._store.client.update_run(self.id, status="RUNNING")
        log_origin(self._store, run, self._whole, self._lineage)
        log_folds(self._store, run, self._lineage, test=False)

    def log_epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Logs one row of the history, unless the run has that epoch already.

        Args:
            row: Columns of `history.csv`: `epoch`, `phase`, and any number of curves.
        """
        self._rows.append(row)
        self._unless_lost(self._log_epoch, row)

    def _log_epoch(self, row: Mapping[str, float | int | str]) -> None:
        new = curve_points([row])
        if not agree(self._points, new):
            self._leave_to_its_model()
        missing = {point: value for point, value in new.items() if point not in self._points}
        log_points(self._store, self.id, missing)
        self._points |= missing

    def log_model(self, lineage: Lineage) -> None:
        """Logs the model of a record as it is, and as an MLflow model."""
        path = model.files(lineage.experiment).model
        self._unless_lost(self._log_model, path, lineage.model_sha256)

    def _log_model(self, path: Path, digest: str) -> None:
        if self._model_sha256 not in (None, digest):
            self._leave_to_its_model()
        log_model(self._store, self.id, self._lineage, path, digest)

    def _leave_to_its_model(self) -> None:
        """Goes on in a new run: here the recipe gave other numbers than it did for this run's model."""
        self._store.client.set_terminated(self.id, "FINISHED" if self._model_sha256 else "FAILED")
        self._enter(create(self._store, self._lineage))
        self._points = curve_points(self._rows)
        log_points(self._store, self.id, self._points)

    def end(self, status: str) -> None:
        """Ends the run as `FINISHED`, `FAILED` or `KILLED`."""
        self._unless_lost(self._store.client.set_terminated, self.id, status)

    def _unless_lost(self, log: Callable[..., None], *args: object) -> None:
        if self._lost:
            return
        try:
            log(*args)
        except store_errors() as error:
            self._lost = True
            print(
                f"MLflow's store failed, training goes on without it: {describe(error)}; "
                "run `glassbox track` when it is back",
                file=sys.stderr,
            )


@contextmanager
def training_run(lineage: Mapping[str, Any]) -> Iterator[Run]:
    """The run of a model that is being trained: found by its fingerprint, or created.

    It ends as finished, as failed when the block raises, or as killed when the block is interrupted. A run
    whose process was killed stays as it was; the next training of the same fingerprint goes on in it.

    Args:
        lineage: What the model is made from, as `model.made_from` has it.

    Raises:
        TrackingError: The store cannot be used. This is found before anything is trained.
        ArtifactError: The recipe of the experiment is missing or damaged.
    """
    with refusing():
        run = Run(open_store(), experiment.resolved(lineage["experiment"]), lineage)
    try:
        yield run
    except Exception:
        run.end("FAILED")
        raise
    except BaseException:
        run.end("KILLED")
        raise
    run.end("FINISHED")
