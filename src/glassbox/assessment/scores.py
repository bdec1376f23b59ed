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

    from glassbox.assessment.intervals import Intervals
    from glassbox.assessment.predictions import Predictions

#: Keras' own, so that a probability of 0 costs 16.1 here too.
EPSILON = 1e-7

#: 6 decimals, so that the last bits of a sum, which differ between machines, never show.
_SHORT = pydantic.AfterValidator(lambda value: round(value, 6))
Rounded = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False), _SHORT]
Signed = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False), _SHORT]
Loss = Annotated[float, Field(ge=0.0, allow_inf_nan=False), _SHORT]


class Scored(pydantic.BaseModel):
    """A block of scores: immutable, complete, and without room for an unknown key."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class ClassScores(Scored):
    """One class against the others, at what the network decides."""

    #: 0 where no image is said to be of the class.
    precision: Rounded
    #: 0 where no image is of the class, as `support` says.
    recall: Rounded
    f1: Rounded
    #: Images that are of this class.
    support: NonNegativeInt
    #: Their share of all images: the precision of naming the class every time.
    prevalence: Rounded
    #: This class against the others; null where no image, or every image, is of the class.
    roc_auc: Rounded | None


class VariantScores(Scored):
    """One test variant of one experiment.

    For the binary task, areas and average precision are those of the positive class. For the others they are the
    mean over the classes that some of the images have and others have not.
    """

    roc_auc: Rounded
    roc_auc_low: Rounded
    roc_auc_high: Rounded
    average_precision: Rounded
    #: Share of images whose most probable class is theirs; for `multi_label` the share of right answers, at 0.5,
    #: among all images and classes (binary accuracy).
    accuracy: Rounded
    accuracy_low: Rounded
    accuracy_high: Rounded
    #: Accuracy of naming the most frequent class every time; for `multi_label` of saying of each class what is
    #: true of most images.
    majority_accuracy: Rounded
    accuracy_minus_majority: Signed
    #: Categorical cross-entropy, or for `multi_label` the mean binary cross-entropy.
    loss: Loss
    #: Share of images that are of the positive class, or of any but the first, which is the absence of findings.
    prevalence: Rounded
    images: PositiveInt
    patients: PositiveInt
    #: Bootstrap resamples in which no class had both sides, and which were drawn again.
    resamples_redrawn: NonNegativeInt
    #: In the order of the network's outputs.
    classes: dict[str, ClassScores]


#: variant -> scores, in the order of `layout.VARIANTS`.
Scores = dict[str, VariantScores]


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
        for position in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)).tolist()
    }
    ranked = predictions.ranked
    accuracy = float(predictions.right.mean() / predictions.answers)
    majority = _majority(predictions)
    return VariantScores(
        roc_auc=float(np.mean([areas[position] for position in ranked])),
        roc_auc_low=intervals.roc_auc[0],
        roc_auc_high=intervals.roc_auc[1],
        average_precision=float(
            np.mean(
                [
                    metrics.average_precision_score(labels[:, position], probabilities[:, position])
                    for position in ranked
                ]
            )
        ),
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


def flat(scores: VariantScores) -> dict[str, float | None]:
    """Every score under one name, levels joined by `_`: `roc_auc`, `classes_Infiltration_recall`, ..."""
    numbers: dict[str, float | None] = {}

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
