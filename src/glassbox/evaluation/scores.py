"""The scores of one test variant, computed from its predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glassbox.artifacts.evaluation import ClassScores, VariantScores

if TYPE_CHECKING:
    from glassbox.evaluation.intervals import Intervals
    from glassbox.evaluation.predictions import Predictions

#: Keras' own, so that a probability of 0 costs 16.1 here too.
EPSILON = 1e-7


def score(predictions: Predictions, intervals: Intervals) -> VariantScores:
    """The scores of one test variant."""
    # scikit-learn takes a second to import, which reading scores.json need not wait for.
    from sklearn import metrics

    labels, probabilities = predictions.labels, predictions.probabilities
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predictions.decisions, average=None, zero_division=0.0
    )
    areas = {
        position: metrics.roc_auc_score(labels[:, position], probabilities[:, position])
        for position in predictions.two_sided
    }
    precisions = [
        metrics.average_precision_score(labels[:, position], probabilities[:, position])
        for position in predictions.ranked
    ]
    accuracy = float(predictions.right.mean() / predictions.answers)
    majority = _majority(predictions)
    return VariantScores(
        roc_auc=float(np.mean([areas[position] for position in predictions.ranked])),
        roc_auc_low=intervals.roc_auc[0],
        roc_auc_high=intervals.roc_auc[1],
        average_precision=float(np.mean(precisions)),
        accuracy=accuracy,
        accuracy_low=intervals.accuracy[0],
        accuracy_high=intervals.accuracy[1],
        majority_accuracy=majority,
        accuracy_minus_majority=accuracy - majority,
        loss=_loss(predictions),
        prevalence=float(labels[:, 1:].any(axis=1).mean()),
        images=len(labels),
        patients=predictions.patient_count,
        resamples_redrawn=intervals.redrawn,
        classes={
            name: ClassScores(
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                support=int(support[i]),
                prevalence=support[i] / len(labels),
                roc_auc=areas.get(i),
            )
            for i, name in enumerate(predictions.classes)
        },
    )


def _majority(predictions: Predictions) -> float:
    """The accuracy of one answer for all images, the best there is."""
    shares = predictions.labels.mean(axis=0)
    if predictions.task == "multi_label":
        return float(np.maximum(shares, 1 - shares).mean())
    return float(shares.max())


def _loss(predictions: Predictions) -> float:
    """The cross-entropy of the task, in nats."""
    likely = np.clip(predictions.probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    of_class = -np.log(likely)
    if predictions.task == "multi_label":
        return float(np.where(predictions.labels, of_class, -np.log1p(-likely)).mean())
    return float(of_class[predictions.labels].mean())
