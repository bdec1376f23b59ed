"""The numbers of `metrics/<experiment>/scores.json`: computed, written and read here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from glassbox import layout
from glassbox.errors import ReportError
from glassbox.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from glassbox.assessment.intervals import Intervals
    from glassbox.assessment.predictions import Predictions

#: A share with 6 decimals, so that the last bits of a sum, which differ between machines, never show.
Rounded = Annotated[
    float, Field(ge=0.0, le=1.0, allow_inf_nan=False), pydantic.AfterValidator(lambda value: round(value, 6))
]


class Scored(pydantic.BaseModel):
    """A block of scores: immutable, complete, and without room for an unknown key."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class ClassScores(Scored):
    """One class against the others, at the most probable class."""

    precision: Rounded
    recall: Rounded
    f1: Rounded
    #: Images that are of this class.
    support: NonNegativeInt


class VariantScores(Scored):
    """One test variant of one experiment."""

    roc_auc: Rounded
    roc_auc_low: Rounded
    roc_auc_high: Rounded
    average_precision: Rounded
    accuracy: Rounded
    accuracy_low: Rounded
    accuracy_high: Rounded
    #: Accuracy of naming the most frequent class every time.
    majority_accuracy: Rounded
    #: Share of images that are of the positive class.
    prevalence: Rounded
    images: PositiveInt
    patients: PositiveInt
    #: Bootstrap resamples that held one class only and were drawn again.
    resamples_redrawn: NonNegativeInt
    #: In the order of the network's outputs; the positive class is the last.
    classes: dict[str, ClassScores]


#: variant -> scores, in the order of `layout.VARIANTS`.
Scores = dict[str, VariantScores]


def score(predictions: Predictions, intervals: Intervals) -> VariantScores:
    """The scores of one test variant."""
    # Here and below: scikit-learn takes a second to import, which reading scores.json need not wait for.
    from sklearn import metrics

    names = range(len(predictions.classes))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        predictions.truth, predictions.decision, labels=names, zero_division=0.0
    )
    return VariantScores(
        roc_auc=metrics.roc_auc_score(predictions.positive, predictions.score),
        roc_auc_low=intervals.roc_auc[0],
        roc_auc_high=intervals.roc_auc[1],
        average_precision=metrics.average_precision_score(predictions.positive, predictions.score),
        accuracy=metrics.accuracy_score(predictions.truth, predictions.decision),
        accuracy_low=intervals.accuracy[0],
        accuracy_high=intervals.accuracy[1],
        majority_accuracy=float(support.max() / support.sum()),
        prevalence=float(predictions.positive.mean()),
        images=len(predictions.truth),
        patients=predictions.patient_count,
        resamples_redrawn=intervals.redrawn,
        classes={
            name: ClassScores(precision=precision[i], recall=recall[i], f1=f1[i], support=int(support[i]))
            for i, name in enumerate(predictions.classes)
        },
    )


def roc(predictions: Predictions) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """False positive rates, true positive rates and thresholds of the ROC curve's corners, each (K,).

    The first threshold is infinity, at which nothing is called positive.
    """
    from sklearn import metrics

    false_positive, true_positive, thresholds = metrics.roc_curve(
        predictions.positive, predictions.score, drop_intermediate=True
    )
    return np.asarray(false_positive), np.asarray(true_positive), np.asarray(thresholds)


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """Images by true class (rows) and most probable class (columns), (C, C) int64."""
    matrix = np.zeros((len(predictions.classes),) * 2, dtype=np.int64)
    np.add.at(matrix, (predictions.truth, predictions.decision), 1)
    return matrix


def flat(scores: VariantScores) -> dict[str, float]:
    """Every number under one name, levels joined by `_`: `roc_auc`, `classes_Infiltration_recall`, ..."""
    numbers: dict[str, float] = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                put(f"{name}_{key}" if name else key, inner)
        else:
            numbers[name] = value

    put("", scores.model_dump())
    return numbers


def write(path: Path, scores: Scores) -> None:
    """Writes `scores.json`."""
    write_json(path, {variant: scores[variant].model_dump() for variant in layout.VARIANTS})


def read(path: Path) -> Scores:
    """Reads and checks `scores.json`.

    Raises:
        ReportError: The file is missing, or does not hold exactly the scores of every variant.
    """
    action = "run `dvc repro` to evaluate anew"
    try:
        return _SCORES.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ReportError(f"{path} is not there", "the scores of an experiment", action) from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        found = f"{path}: {where}: {first['msg']}"
    except ValueError as error:
        found = f"{path} is no JSON: {error}"
    raise ReportError(found, f"all scores of {' and '.join(layout.VARIANTS)}, and nothing else", action)


def _all_variants(scores: Scores) -> Scores:
    if set(scores) != set(layout.VARIANTS):
        raise ValueError(f"found {', '.join(scores) or 'no variant'}")
    return scores


_SCORES: pydantic.TypeAdapter[Scores] = pydantic.TypeAdapter(
    Annotated[Scores, pydantic.AfterValidator(_all_variants)]
)
