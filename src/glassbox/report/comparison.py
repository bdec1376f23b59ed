"""The compare stage: the results of all experiments in, `comparison.csv` and `comparison.html` out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from glassbox import layout
from glassbox.errors import ReportError
from glassbox.files import write_text
from glassbox.report import grids, page
from glassbox.report.results import Result
from glassbox.report.strays import strays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.params import Params


def compare(params: Params, _key: str) -> None:
    """Writes `reports/comparison.csv` and `reports/comparison.html`, experiments in the order of params.yaml.

    Args:
        params: All parameters.
        _key: Empty: there is one comparison.

    Raises:
        ReportError: An experiment has no whole results, or `metrics/` holds what no parameter names.
    """
    if found := strays(params):
        raise ReportError(
            f"{', '.join(map(str, found))}: no entry of {layout.PARAMS} has such results",
            f"only results of the experiments, sources, splits and grids of profile {params.profile}",
            f"`git rm -r {' '.join(map(str, found))}` or move it out of {layout.METRICS}/, then `dvc repro`",
        )
    params = grids.chosen(params)
    results = [Result.read(params, experiment) for experiment in params.experiments]
    if not results:
        raise ReportError(f"{layout.PARAMS} has no experiment", "one at least", "run `glassbox use demo`")
    table, html = csv_text(results), page.html(params, results)
    write_text(layout.REPORTS / "comparison.csv", table)
    write_text(layout.REPORTS / "comparison.html", html)


def csv_text(results: Sequence[Result]) -> str:
    """One row an experiment and variant, one column a metric; `<metric>_published` stands beside its metric.

    A metric that an experiment does not have, and a figure that its source does not report, is an empty cell.
    """
    names = list(dict.fromkeys(name for result in results for name in result.names()))
    cells = {
        (result.key, variant, name): result.number(variant, name)
        for result in results
        for variant in layout.VARIANTS
        for name in names
    }
    published = {name for (_, _, name), number in cells.items() if number.published is not None}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = [column for name in names for column in (name, f"{name}_published")[: 1 + (name in published)]]
    writer.writerow(["experiment", "title", "dataset", "split", "variant", *header, "published_source"])
    for result in results:
        experiment = result.experiment
        for variant in layout.VARIANTS:
            row: list[object] = [result.key, experiment.title, experiment.dataset, experiment.split, variant]
            for name in names:
                number = cells[result.key, variant, name]
                row += [number.measured, number.published] if name in published else [number.measured]
            writer.writerow([*row, experiment.published.source])
    return text.getvalue()
