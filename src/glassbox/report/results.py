"""An experiment's results as reports need them: scores, what its source published, figures; and stale ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from glassbox.artifacts import evaluation, experiment, leaks
from glassbox.params.document import METRICS_OF_DATA
from glassbox.params.experiments import VARIANTS
from glassbox.paths import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from glassbox.artifacts.evaluation import Scores
    from glassbox.artifacts.experiment import Resolved
    from glassbox.artifacts.leaks import Leak
    from glassbox.params.document import Params
    from glassbox.params.experiments import Experiment

#: The figures that `evaluate` plots, in the order of the page.
FIGURES = ("roc", "confusion", "curves")


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
    """One experiment with what `evaluate` wrote about it."""

    #: The experiment as it ran.
    resolved: Resolved
    scores: Scores
    #: Name of each of `FIGURES` -> the bytes of its PNG file.
    figures: dict[str, bytes]
    #: What the folds of its split share, one phrase a pair of folds; empty for a clean split.
    shared: list[str]
    #: The kind of machine that its model was trained on.
    machine: dict[str, Any]

    @property
    def key(self) -> str:
        """The experiment's."""
        return self.resolved.key

    @property
    def settings(self) -> Experiment:
        """The experiment's block as it ran."""
        return self.resolved.settings

    @property
    def many(self) -> bool:
        """Whether its figures show many classes, and need the room."""
        return len(self.scores[VARIANTS[0]].classes) > 2

    @classmethod
    def read(cls, key: str) -> Self:
        """Reads the recipe and the measured files of an experiment, and what the folds of its split share.

        Raises:
            ArtifactError: Some of it is missing or damaged.
        """
        resolved = experiment.resolved(key)
        return cls(
            resolved=resolved,
            scores=evaluation.read_scores(key),
            figures={name: evaluation.content(key, f"{name}.png") for name in FIGURES},
            shared=shared(leaks.read(resolved.settings.split)),
            machine=evaluation.read_machine(key),
        )

    def names(self) -> list[str]:
        """Every metric, measured or only published, in the flat names of `VariantScores.flat`."""
        measured = [name for variant in self.scores.values() for name in variant.flat()]
        published = [name for variant in self.settings.published.scores.values() for name in variant]
        return list(dict.fromkeys(measured + published))

    def number(self, variant: str, name: str) -> Number:
        """One metric of one variant, by its flat name."""
        measured = self.scores[variant].flat()
        published = {str(key): value for key, value in self.settings.published.scores.items()}
        return Number(
            measured.get(name),
            measured.get(f"{name}_low"),
            measured.get(f"{name}_high"),
            published.get(variant, {}).get(name),
        )


def shared(counted: Sequence[Leak]) -> list[str]:
    """One phrase a pair of folds that share something: `train and test share 12 patients, 30 images`."""
    pairs: dict[str, list[str]] = {}
    for leak in counted:
        if leak.shared:
            words = leak.what.replace("_", " ").removesuffix("s" if leak.shared == 1 else "")
            pairs.setdefault(leak.folds, []).append(f"{leak.shared:,} {words}")
    return [f"{' and '.join(pair.split('-'))} share {', '.join(counts)}" for pair, counts in pairs.items()]


def stale(params: Params) -> list[Path]:
    """What lies in `metrics/` and its folders of data and belongs to nothing in params.yaml, in order of name.

    A profile or a name that is gone left it. Hidden files (`.gitignore`, a file that is being written) are
    nobody's results.
    """
    of_sources = [f"{source}.json" for source in params.sources]
    named = {
        METRICS: [*params.experiments, *METRICS_OF_DATA],
        METRICS / "sources": of_sources,
        METRICS / "catalogs": of_sources,
        METRICS / "splits": params.splits,
        METRICS / "grids": params.grids,
    }
    found = (path for folder, names in named.items() for path in folder.glob("[!.]*") if path.name not in names)
    return sorted(found)
