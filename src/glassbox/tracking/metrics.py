"""The numbers of a run: the points of learning curves, and scores. NaN stands for a number that is not there."""

from __future__ import annotations

import math
import re
import time
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow.entities import Run as MlflowRun

    from glassbox.artifacts.evaluation import Scores
    from glassbox.artifacts.history import Epoch
    from glassbox.tracking.store import Store

#: Name of a metric, and its epoch: 0 for a score.
Point = tuple[str, int]
#: Columns of a history that are no curve.
_NO_CURVE = ("epoch", "phase")


def curve_points(rows: Iterable[Epoch]) -> dict[Point, float]:
    """The points of a history."""
    return {
        (name, int(row["epoch"])): float(value)
        for row in rows
        for name, value in row.items()
        if name not in _NO_CURVE
    }


def score_points(measured: Scores) -> dict[Point, float]:
    """The numbers of scores.json under names joined with `_`, which stands for what MLflow does not take, too."""
    return {
        (re.sub(r"[^A-Za-z0-9./-]+", "_", f"{variant}_{name}"), 0): math.nan if value is None else value
        for variant, scores in measured.items()
        for name, value in scores.flat().items()
    }


def logged(store: Store, run: MlflowRun, names: Iterable[str] | None = None) -> dict[Point, float]:
    """The points that a run has of some metrics, or of all, as they were logged last."""
    histories = [store.client.get_metric_history(run.info.run_id, name) for name in names or run.data.metrics]
    every = sorted((metric for history in histories for metric in history), key=attrgetter("timestamp"))
    return {(metric.key, metric.step): metric.value for metric in every}


def agree(known: Mapping[Point, float], other: Mapping[Point, float]) -> bool:
    """Whether two sets of points have the same value wherever both have one, but for rounding in a CSV."""
    return all(_same(known[point], value) for point, value in other.items() if point in known)


def differing(known: Mapping[Point, float], other: Mapping[Point, float]) -> list[Point]:
    """The points at which two sets have other values; one that is not there is NaN."""
    return sorted(
        point
        for point in known.keys() | other.keys()
        if not _same(known.get(point, math.nan), other.get(point, math.nan))
    )


def log(store: Store, run_id: str, known: Mapping[Point, float], points: Mapping[Point, float]) -> bool:
    """Logs the points that a run does not know, or knows otherwise. Says whether there are any.

    MLflow deletes no number: over one that is no longer there, NaN is logged.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    new = [
        Metric(name, value, now, step)
        for (name, step), value in points.items()
        if not _same(known.get((name, step), math.nan), value)
    ]
    if new:
        store.client.log_batch(run_id, metrics=new)
    return bool(new)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
