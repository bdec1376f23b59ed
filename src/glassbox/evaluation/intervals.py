"""Confidence intervals by a bootstrap over patients: films of one patient resemble each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from glassbox.evaluation.predictions import Predictions
    from glassbox.params.experiments import Evaluation

#: Resamples that are worked on at once: 32 of 25,000 images take a few megabytes.
CHUNK = 32


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals (low, high) of what is measured on one test variant, each in 0..1."""

    roc_auc: tuple[float, float]
    accuracy: tuple[float, float]
    #: Resamples in which no class had both sides, which have no ROC curve, and were drawn again.
    redrawn: int


def resamples(predictions: Predictions, evaluation: Evaluation) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Draws as many patients as there are, with replacement, again and again.

    The draws depend on the seed, the number of patients and who has which class, and on nothing else:
    variants of one test set, and models tested on it, get the same draws.

    Args:
        predictions: Whose patients are drawn.
        evaluation: Number of resamples and seed.

    Yields:
        How often each patient is drawn, (K, P) int64, K at most `CHUNK`, until all are drawn; and how many draws
        were put back, since they have both sides of no class.
    """
    labels = predictions.labels[:, predictions.ranked]
    # How many images of each patient have each class, and how many have not, (P, classes that count).
    positives, negatives = _by_patient(predictions, labels), _by_patient(predictions, ~labels)
    generator = np.random.default_rng(evaluation.seed)
    patients, missing = predictions.patient_count, evaluation.resamples
    while missing:
        rows = min(CHUNK, missing)
        drawn = generator.integers(patients, size=(rows, patients))
        # One bincount for all rows: row r counts in the bins from r * patients on.
        bins = drawn + np.arange(rows)[:, None] * patients
        times = np.bincount(bins.ravel(), minlength=rows * patients).reshape(rows, patients)
        both = (times @ positives > 0) & (times @ negatives > 0)
        times = times[both.any(axis=1)]
        missing -= len(times)
        yield times, rows - len(times)


class WeightedAuc:
    """The area under the ROC curve of many weightings of the same images, after one sort.

    Args:
        score: A class's probability, (N,).
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
        """The areas, (K,) in 0..1, for whole weights (K, N); NaN where one side weighs nothing.

        All sums are of integers, so they are exact and the same on every machine.
        """
        summed = np.zeros((len(weights), len(self._negatives) + 1), dtype=np.int64)
        np.cumsum(weights[:, self._negatives], axis=1, out=summed[:, 1:])
        positive = weights[:, self._positives]
        wins = (positive * (summed[:, self._below] + summed[:, self._not_above])).sum(axis=1)
        pairs = positive.sum(axis=1) * summed[:, -1]
        return np.asarray(np.divide(wins, 2 * pairs, out=np.full(len(weights), np.nan), where=pairs > 0))


def bootstrap(predictions: Predictions, evaluation: Evaluation) -> Intervals:
    """Percentile intervals of the area under the ROC curve and of accuracy, over patients.

    The area is the mean over the classes that count; in a resample a class that lacks one side is left out.
    """
    aucs = [
        WeightedAuc(predictions.probabilities[:, position], predictions.labels[:, position])
        for position in predictions.ranked
    ]
    asked = np.bincount(predictions.patients) * predictions.answers
    right = _by_patient(predictions, predictions.right)
    areas, accuracies, redrawn = [], [], 0
    for times, put_back in resamples(predictions, evaluation):
        weights = times[:, predictions.patients]
        areas.append(np.nanmean([auc(weights) for auc in aucs], axis=0))
        accuracies.append(times @ right / (times @ asked))
        redrawn += put_back
    confidence = evaluation.confidence
    return Intervals(_percentiles(areas, confidence), _percentiles(accuracies, confidence), redrawn)


def _by_patient(predictions: Predictions, counted: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers (N, ...) of the images, added up patient by patient, (P, ...) int64."""
    sums = np.zeros((predictions.patient_count, *counted.shape[1:]), dtype=np.int64)
    np.add.at(sums, predictions.patients, counted)
    return sums


def _percentiles(values: list[NDArray[np.float64]], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(values), (tail, 1 - tail))
    return float(low), float(high)
