"""Confidence intervals by a bootstrap over patients: films of one patient resemble each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from glassbox.assessment.predictions import Predictions
    from glassbox.params import Evaluation

#: Resamples that are worked on at once: 32 of 25,000 images take a few megabytes.
CHUNK = 32


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals (low, high) of what is measured on one test variant, each in 0..1."""

    roc_auc: tuple[float, float]
    accuracy: tuple[float, float]
    #: Resamples that held one class only, have no ROC curve, and were drawn again.
    redrawn: int


class Resamples:
    """Draws as many patients as there are, with replacement, again and again.

    The draws depend on the seed, the number of patients and who has which class, and on nothing else:
    variants of one test set, and models tested on it, get the same draws.

    Args:
        predictions: Whose patients are drawn.
        evaluation: Number of resamples and seed.
    """

    def __init__(self, predictions: Predictions, evaluation: Evaluation) -> None:
        count = predictions.patient_count
        self._evaluation = evaluation
        self._positives = np.bincount(predictions.patients[predictions.positive], minlength=count)
        self._negatives = np.bincount(predictions.patients[~predictions.positive], minlength=count)
        #: Draws without both classes that the last pass put back.
        self.redrawn = 0

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """Yields how often each patient is drawn, (K, P) int64, K at most `CHUNK`, until all are drawn."""
        generator = np.random.default_rng(self._evaluation.seed)
        patients, missing = len(self._positives), self._evaluation.resamples
        self.redrawn = 0
        while missing:
            rows = min(CHUNK, missing)
            drawn = generator.integers(patients, size=(rows, patients))
            # One bincount for all rows: row r counts in the bins from r * patients on.
            bins = drawn + np.arange(rows)[:, None] * patients
            times = np.bincount(bins.ravel(), minlength=rows * patients).reshape(rows, patients)
            times = times[(times @ self._positives > 0) & (times @ self._negatives > 0)]
            self.redrawn += rows - len(times)
            missing -= len(times)
            yield times


class WeightedAuc:
    """The area under the ROC curve of many weightings of the same images, after one sort.

    Args:
        score: The positive class's probability, (N,).
        positive: Which images are of that class, (N,) bool; some, not all.
    """

    def __init__(self, score: NDArray[Any], positive: NDArray[np.bool_]) -> None:
        negatives = np.flatnonzero(~positive)
        self._negatives = negatives[np.argsort(score[negatives], kind="stable")]
        self._positives = np.flatnonzero(positive)
        ranked = score[self._negatives]
        # Of the ranked negatives, how many lie below each positive and how many not above: ties count half.
        self._below = np.searchsorted(ranked, score[self._positives], side="left")
        self._not_above = np.searchsorted(ranked, score[self._positives], side="right")

    def __call__(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """The areas, (K,) in 0..1, for whole weights (K, N) under which either class weighs something.

        All sums are of integers, so they are exact and the same on every machine.
        """
        summed = np.zeros((len(weights), len(self._negatives) + 1), dtype=np.int64)
        np.cumsum(weights[:, self._negatives], axis=1, out=summed[:, 1:])
        positive = weights[:, self._positives]
        wins = (positive * (summed[:, self._below] + summed[:, self._not_above])).sum(axis=1)
        return np.asarray(wins / (2 * positive.sum(axis=1) * summed[:, -1]))


def bootstrap(predictions: Predictions, evaluation: Evaluation) -> Intervals:
    """Percentile intervals of the area under the ROC curve and of accuracy, over patients."""
    auc = WeightedAuc(predictions.score, predictions.positive)
    count = predictions.patient_count
    images = np.bincount(predictions.patients, minlength=count)
    correct = np.bincount(predictions.patients[predictions.correct], minlength=count)
    resamples = Resamples(predictions, evaluation)
    areas, accuracies = [], []
    for times in resamples:
        areas.append(auc(times[:, predictions.patients]))
        accuracies.append(times @ correct / (times @ images))
    return Intervals(
        _percentiles(areas, evaluation.confidence),
        _percentiles(accuracies, evaluation.confidence),
        resamples.redrawn,
    )


def _percentiles(values: list[NDArray[np.float64]], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(values), (tail, 1 - tail))
    return float(low), float(high)
