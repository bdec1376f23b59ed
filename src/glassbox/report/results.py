"""One experiment's results as reports need them: its scores, what its source published, its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from glassbox import layout
from glassbox.assessment import scores
from glassbox.errors import ReportError
from glassbox.report import leaks

if TYPE_CHECKING:
    from pathlib import Path

    from glassbox.params import Experiment, Params

#: The figures that `evaluate` draws, in the order of the page.
FIGURES = ("roc", "confusion", "curves")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Number:
    """A metric of one variant: what was measured, and what the source reports. Either may be lacking."""

    measured: float | None
    low: float | None = None
    high: float | None = None
    published: float | None = None

    @property
    def verdict(self) -> str | None:
        """Where the published figure lies from our interval: inside, below or above; None without both."""
        if self.published is None or self.low is None or self.high is None:
            return None
        if self.published < self.low:
            return "below"
        return "above" if self.published > self.high else "inside"


@dataclass(frozen=True)
class Result:
    """One experiment of params.yaml with what `evaluate` wrote about it."""

    key: str
    experiment: Experiment
    scores: scores.Scores
    #: Name of each of `FIGURES` -> the bytes of its PNG file.
    figures: dict[str, bytes]
    #: What the folds of its split share, one phrase a pair of folds; empty for a clean split.
    shared: list[str]
    #: Where it differs, as it runs, from its source: one sentence each.
    departures: list[str]

    @property
    def many(self) -> bool:
        """Whether its figures show many classes, and need the room."""
        return len(self.scores[layout.VARIANTS[0]].classes) > 2

    @classmethod
    def read(cls, params: Params, key: str) -> Self:
        """Reads `metrics/<key>/`, and what the folds of its split share.

        Raises:
            ReportError: The scores, a figure or the counts of the split are missing or broken.
        """
        folder, experiment = layout.metrics(key), params.experiments[key]
        return cls(
            key=key,
            experiment=experiment,
            scores=scores.read(folder / "scores.json"),
            figures={name: png(folder / f"{name}.png") for name in FIGURES},
            shared=leaks.shared(leaks.read(experiment.split)),
            departures=params.departures(key),
        )

    def names(self) -> list[str]:
        """Every metric, measured or only published, in the flat names of `scores.flat`."""
        measured = [name for variant in self.scores.values() for name in scores.flat(variant)]
        published = [name for variant in self.experiment.published.scores.values() for name in variant]
        return list(dict.fromkeys(measured + published))

    def number(self, variant: str, name: str) -> Number:
        """One metric of one variant, by its flat name."""
        measured = scores.flat(self.scores[variant])
        published = {str(key): value for key, value in self.experiment.published.scores.items()}
        return Number(
            measured.get(name),
            measured.get(f"{name}_low"),
            measured.get(f"{name}_high"),
            published.get(variant, {}).get(name),
        )


def png(path: Path) -> bytes:
    """The bytes of a figure.

    Raises:
        ReportError: It is missing, or no PNG file.
    """
    action = "run `dvc repro` to evaluate anew"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ReportError(f"{path} is not there", "a figure that was drawn", action) from None
    if not content.startswith(PNG_SIGNATURE):
        raise ReportError(f"{path} is no PNG file", "a figure that was drawn", action)
    return content
