"""The comparison page: one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2

from glassbox.artifacts.evaluation import ClassScores
from glassbox.evaluation.figures import VARIANT_COLOURS, VARIANT_NAMES
from glassbox.params.experiments import VARIANTS
from glassbox.params.sources import PhantomSource
from glassbox.report import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.report.results import Number, Result

#: The metrics of the overview and of the results of every experiment, and how they are called.
HEADLINES = {
    "roc_auc": "ROC AUC",
    "accuracy": "Accuracy",
    "majority_accuracy": "Majority classifier: accuracy",
    "accuracy_minus_majority": "Accuracy \N{MINUS SIGN} majority classifier",
    "average_precision": "Average precision",
    "loss": "Loss",
}
#: Metrics that are differences and are shown with their sign.
DIFFERENCES = ("accuracy_minus_majority",)
#: What each figure shows, for those who cannot see it.
CAPTIONS = {
    "roc": "ROC curves",
    "confusion": "Confusion matrices",
    "bars": "Recall and precision of each class",
    "curves": "Loss and accuracy by epoch",
}


@dataclass(frozen=True)
class Metric:
    """One metric of one experiment in every variant."""

    name: str
    #: Whether the metric is itself a difference.
    signed: bool
    #: variant -> number.
    numbers: dict[str, Number]

    @property
    def difference(self) -> float | None:
        """Augmented minus clean; None where either was not measured."""
        clean, augmented = (self.numbers[variant].measured for variant in VARIANTS)
        return None if clean is None or augmented is None else augmented - clean


@dataclass(frozen=True)
class Axis:
    """The scale on which the overview sets all experiments side by side for one metric."""

    name: str
    metric: str
    low: float
    high: float

    @property
    def ticks(self) -> list[float]:
        """Multiples of a tenth (of a twentieth on a short axis) from `low` to `high`."""
        step = 0.05 if self.high - self.low <= 0.3 else 0.1
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(step * tick, 2) for tick in range(first, last + 1)]

    def place(self, value: float) -> str:
        """Where a value stands, as CSS percents of the axis from its low end."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"


def html(profile: str, results: Sequence[Result], heat_maps: dict[str, bytes]) -> str:
    """The page as one text: styles and figures inside, no script, no request, no clock, no path.

    Args:
        profile: The profile's name.
        results: One an experiment, in the order of the page; one at least.
        heat_maps: Grid -> its PNG file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("glassbox.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["score"] = _score
    environment.filters["signed"] = _signed
    return environment.get_template("comparison.html.jinja").render(
        profile=profile,
        results=results,
        variants=VARIANT_NAMES,
        colours=VARIANT_COLOURS,
        axes=[_axis(metric, results) for metric in ("roc_auc", "accuracy")],
        metrics={result.key: _metrics(result) for result in results},
        groups=settings.groups(results),
        grids=heat_maps,
        generated=[result.key for result in results if isinstance(result.resolved.source, PhantomSource)],
        caption=_caption,
        embedded=_embedded,
    )


def _metrics(result: Result) -> list[Metric]:
    """The headline metrics, then whatever else the source reports."""
    reported = [name for variant in result.settings.published.scores.values() for name in variant]
    return [
        Metric(_title(name), name in DIFFERENCES, {variant: result.number(variant, name) for variant in VARIANTS})
        for name in dict.fromkeys([*HEADLINES, *reported])
    ]


def _title(name: str) -> str:
    """A metric's flat name in words: `classes_Infiltration_recall` is "Infiltration: Recall"."""
    for metric in ClassScores.model_fields:
        if name.startswith("classes_") and name.endswith(f"_{metric}"):
            return f"{name.removeprefix('classes_').removesuffix(f'_{metric}')}: {_title(metric)}"
    return HEADLINES.get(name, name.replace("_", " ").capitalize())


def _caption(result: Result, figure: str) -> str:
    """What a figure of an experiment shows: of independent classes there is no one matrix."""
    many = result.resolved.split.labels.task == "multi_label"
    return CAPTIONS["bars" if many and figure == "confusion" else figure]


def _axis(metric: str, results: Sequence[Result]) -> Axis:
    """An axis, in steps of 0.05, that holds every interval, published figure and baseline of a metric."""
    numbers = [result.number(variant, metric) for result in results for variant in VARIANTS]
    values = [
        value
        for number in numbers
        for value in (number.measured, number.low, number.high, number.published)
        if value is not None
    ]
    if metric == "accuracy":
        values += [scores.majority_accuracy for result in results for scores in result.scores.values()]
    # Half a step of air, but no axis leaves 0..1, and 0.5, which chance attains, is always on it.
    low = math.floor(20 * min(*values, 0.5) - 0.5) / 20
    high = math.ceil(20 * max(*values, 0.5) + 0.5) / 20
    return Axis(HEADLINES[metric], metric, max(low, 0.0), min(high, 1.0))


def _embedded(png: bytes) -> str:
    """A picture as a `data:` URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _score(value: float | None) -> str:
    """A share with 3 decimals; another number (a loss) with 4 digits at most."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.3f}" if 0 <= value <= 1 else f"{value:.4g}"


def _signed(value: float | None) -> str:
    """A difference with its sign, minus as a minus."""
    return "\N{EN DASH}" if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")
