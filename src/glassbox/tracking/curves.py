"""The numbers of a run: learning curves and scores, each logged once."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow.entities import Run as MlflowRun

    from glassbox.tracking.store import Store

#: A point of a curve: its name and its epoch.
Point = tuple[str, int]
#: Columns of a history that are no curve.
_NO_CURVE = ("epoch", "phase")
#: MLflow's limit on one batch of metrics.
_BATCH = 1000


def curve_points(rows: Iterable[Mapping[str, float | int | str]]) -> dict[Point, float]:
    """The points of a history; a cell without a value has none."""
    return {
        (key, int(row["epoch"])): float(value)
        for row in rows
        for key, value in row.items()
        if key not in _NO_CURVE and not math.isnan(float(value))
    }


def points(store: Store, run: MlflowRun) -> dict[Point, float]:
    """The points that a run has."""
    return {
        (key, metric.step): metric.value
        for key in run.data.metrics
        for metric in store.client.get_metric_history(run.info.run_id, key)
    }


def agree(known: Mapping[Point, float], other: Mapping[Point, float]) -> bool:
    """Whether two sets of points have the same value wherever both have one, but for rounding in a CSV."""
    return all(same_value(known[point], value) for point, value in other.items() if point in known)


def same_value(one: float, other: float) -> bool:
    """Whether two metrics are equal but for rounding; NaN equals NaN."""
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))


def log_points(store: Store, run_id: str, new: Mapping[Point, float]) -> None:
    """Logs points, as many at once as MLflow takes."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, step) for (key, step), value in new.items()]
    for start in range(0, len(metrics), _BATCH):
        store.client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def safe_name(name: str) -> str:
    """A name that MLflow takes for a metric, with `_` for what it does not take."""
    return re.sub(r"[^\w./-]+", "_", name, flags=re.ASCII).strip("_")
