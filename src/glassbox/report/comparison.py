"""The compare stage: the results of all experiments in, `comparison.csv` and `comparison.html` out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pandas as pd

from glassbox.artifacts import cells, evaluation, model
from glassbox.errors import GlassboxError
from glassbox.files import write_text
from glassbox.params.experiments import VARIANTS
from glassbox.paths import METRICS, PARAMS, REPORTS
from glassbox.report import page
from glassbox.report.results import Result, stale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.params.document import Params


class ReportError(GlassboxError):
    """What was measured cannot be shown side by side."""


def compare(params: Params) -> None:
    """Writes `reports/comparison.csv` and `reports/comparison.html`, experiments in the order of params.yaml.

    Where models were trained on another kind of machine than the ones that were committed, it says so.

    Raises:
        ArtifactError: An experiment has no whole results.
        ReportError: `metrics/` holds what no parameter names, or there is no experiment.
    """
    if found := stale(params):
        raise ReportError(
            f"{', '.join(map(str, found))}: no entry of {PARAMS} has such results",
            f"only results of the experiments, sources, splits and grids of profile {params.profile}",
            f"`git rm -r {' '.join(map(str, found))}` or move it out of {METRICS}/, then `dvc repro`",
        )
    results = [Result.read(experiment) for experiment in params.experiments]
    if not results:
        raise ReportError(f"{PARAMS} has no experiment", "one at least", "run `glassbox use demo`")
    heat_maps = {grid: cells.heat_map(grid) for grid in params.grids}
    csv = table(results).to_csv(index=False, lineterminator="\n")
    html = page.html(params.profile, results, heat_maps)
    write_text(REPORTS / "comparison.csv", csv)
    write_text(REPORTS / "comparison.html", html)
    if said := other_machines(results):
        print(said, file=sys.stderr)


def table(results: Sequence[Result]) -> pd.DataFrame:
    """One row an experiment and variant, one column a metric; `<metric>_published` stands beside its metric.

    A metric that an experiment does not have, and a figure that its source does not report, is None.
    """
    metrics = list(dict.fromkeys(name for result in results for name in result.names()))
    rows = []
    for result in results:
        for variant in VARIANTS:
            row: dict[str, Any] = {
                "experiment": result.key,
                "title": result.settings.title,
                "dataset": result.resolved.split.dataset,
                "split": result.settings.split,
                "variant": variant,
            }
            for name in metrics:
                number = result.number(variant, name)
                row |= {name: number.measured, f"{name}_published": number.published}
            rows.append({**row, "published_source": result.settings.published.source})
    frame = pd.DataFrame(rows, dtype=object)
    published = [f"{name}_published" for name in metrics]
    return frame.drop(columns=[name for name in published if frame[name].isna().all()])


def other_machines(results: Sequence[Result]) -> str:
    """One sentence if models were trained on another kind of machine than the committed ones; else nothing."""
    others = {}
    for result in results:
        before = _committed(result.key)
        if differing := [name for name in before if before[name] != result.machine.get(name)]:
            others[result.key] = differing
    if not others:
        return ""
    names = ", ".join(dict.fromkeys(name.replace("_", " ") for names in others.values() for name in names))
    return (
        f"{', '.join(others)}: trained on another kind of machine than the committed models ({names}), so that "
        "models and scores may differ from those in git; archive, catalog, shards and splits do not; "
        f"`glassbox rebuild {model.files(next(iter(others))).model}@HEAD` says by how much"
    )


def _committed(experiment: str) -> dict[str, Any]:
    """The kind of machine that git's HEAD has for an experiment; nothing where it has none, or there is no git."""
    try:
        found = subprocess.run(
            ["git", "show", f"HEAD:./{evaluation.machine_path(experiment).as_posix()}"],
            capture_output=True,
            check=True,
        ).stdout
        return evaluation.machine_of(json.loads(found))
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError, TypeError, AttributeError):
        # Any JSON may have been committed by mistake.
        return {}
