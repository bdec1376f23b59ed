"""The numbers of `metrics/<experiment>/scores.json`: their schema, their reader and their writer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
from pydantic import Field, NonNegativeInt, PositiveInt

from glassbox.artifacts import evaluation
from glassbox.artifacts.damage import typed
from glassbox.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

#: What every experiment is tested on, in the order of tables and figures.
VARIANTS = ("test_clean", "test_augmented")

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


#: variant -> scores, in the order of `VARIANTS`.
Scores = dict[str, VariantScores]


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


NAME = "scores.json"


def write(path: Path, scores: Scores) -> None:
    """Writes scores; the record of the evaluation holds their SHA-256."""
    write_json(path, {variant: scores[variant].model_dump() for variant in VARIANTS})


def read(experiment: str) -> Scores:
    """The scores of an experiment.

    Raises:
        ArtifactError: The file is missing, damaged, or does not hold exactly the scores of every variant.
    """
    path, stage = evaluation.folder(experiment) / NAME, f"evaluate@{experiment}"
    scores: Scores = typed(path, json.loads(evaluation.content(experiment, NAME)), _SCORES, stage)
    return scores


def _all_variants(scores: Scores) -> Scores:
    if set(scores) != set(VARIANTS):
        raise ValueError(f"found {', '.join(scores) or 'no variant'}")
    return scores


_SCORES = Annotated[Scores, pydantic.AfterValidator(_all_variants)]
