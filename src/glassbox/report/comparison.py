"""The compare stage: the results of all experiments in, `comparison.csv` and `comparison.html` out."""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING

from glassbox.artifacts import cells
from glassbox.artifacts.scores import VARIANTS
from glassbox.assessment.errors import ReportError
from glassbox.files import write_text
from glassbox.paths import METRICS, PARAMS, REPORTS
from glassbox.report import machines, page
from glassbox.report.results import Result
from glassbox.report.strays import strays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.params.document import Params


def compare(params: Params) -> None:
    """Writes `reports/comparison.csv` and `reports/comparison.html`, experiments in the order of params.yaml.

    Where models were trained on another kind of machine than the ones that were committed, it says so.

    Raises:
        ArtifactError: An experiment has no whole results.
        ReportError: `metrics/` holds what no parameter names, or there is no experiment.
    """
    if found := strays(params):
        raise ReportError(
            f"{', '.join(map(str, found))}: no entry of {PARAMS} has such results",
            f"only results of the experiments, sources, splits and grids of profile {params.profile}",
            f"`git rm -r {' '.join(map(str, found))}` or move it out of {METRICS}/, then `dvc repro`",
        )
    results = [Result.read(experiment) for experiment in params.experiments]
    if not results:
        raise ReportError(f"{PARAMS} has no experiment", "one at least", "run `glassbox use demo`")
    heat_maps = {grid: cells.heat_map(grid) for grid in params.grids}
    table, html = csv_text(results), page.html(params.profile, results, heat_maps)
    write_text(REPORTS / "comparison.csv", table)
    write_text(REPORTS / "comparison.html", html)
    if said := machines.changed(results):
        print(said, file=sys.stderr)


def csv_text(results: Sequence[Result]) -> str:
    """One row an experiment and variant, one column a metric; `<metric>_published` stands beside its metric.

    A metric that an experiment does not have, and a figure that its source does not report, is an empty cell.
    """
    names = list(dict.fromkeys(name for result in results for name in result.names()))
    cells = {
        (result.key, variant, name): result.number(variant, name)
        for result in results
        for variant in VARIANTS
        for name in names
    }
    published = {name for (_, _, name), number in cells.items() if number.published is not None}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = [column for name in names for column in (name, f"{name}_published")[: 1 + (name in published)]]
    writer.writerow(["experiment", "title", "dataset", "split", "variant", *header, "published_source"])
    for result in results:
        experiment = result.settings
        for variant in VARIANTS:
            row: list[object] = [
                result.key,
                experiment.title,
                result.resolved.split.dataset,
                experiment.split,
                variant,
            ]
            for name in names:
                number = cells[result.key, variant, name]
                row += [number.measured, number.published] if name in published else [number.measured]
            writer.writerow([*row, experiment.published.source])
    return text.getvalue()
