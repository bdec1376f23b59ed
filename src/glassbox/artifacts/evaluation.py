"""What was measured of an experiment, in git: scores, figures, the kind of machine; and the record of all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from glassbox.artifacts import document
from glassbox.artifacts.damage import ArtifactError, bytes_of, typed, verify
from glassbox.files import sha256_file, write_json
from glassbox.params.base import Frozen
from glassbox.params.experiments import VARIANTS
from glassbox.paths import DATA, METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Names of files in `folder`.
SCORES, MACHINE = "scores.json", "machine.json"
#: 6 decimals, so that the last bits of a sum, which differ between machines, never show.
_SHORT = AfterValidator(lambda value: round(value, 6))
Rounded = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False), _SHORT]
Signed = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False), _SHORT]
Loss = Annotated[float, Field(ge=0.0, allow_inf_nan=False), _SHORT]


class Measured(Frozen):
    """What belongs together."""

    #: Of the model that was measured.
    model_sha256: str
    #: Name of each file in `folder` -> its SHA-256.
    files: dict[str, str]


class ClassScores(Frozen):
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


class VariantScores(Frozen):
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

    def flat(self) -> dict[str, float | None]:
        """Every score under one name, levels joined by `_`: `roc_auc`, `classes_Infiltration_recall`, ..."""
        numbers: dict[str, float | None] = self.model_dump(exclude={"classes"})
        for name, scores in self.classes.items():
            numbers |= {f"classes_{name}_{key}": value for key, value in scores.model_dump().items()}
        return numbers


#: variant -> scores, in the order of `VARIANTS`.
Scores = dict[str, VariantScores]


def folder(experiment: str) -> Path:
    """Where the measured files lie."""
    return METRICS / experiment


def path(experiment: str) -> Path:
    """Where their record lies."""
    return DATA / "evaluations" / f"{experiment}.json"


def write(experiment: str, model_sha256: str, names: list[str]) -> None:
    """Writes the record of files that lie there already."""
    hashes = {name: sha256_file(folder(experiment) / name) for name in sorted(names)}
    document.write(path(experiment), {"model_sha256": model_sha256, "files": hashes}, f"evaluate@{experiment}")


def read(experiment: str) -> Measured:
    """The record of an experiment."""
    return document.read_typed(path(experiment), f"evaluate@{experiment}", Measured)


def verified(experiment: str) -> Measured:
    """The record of an experiment, once every file that it names is the one it says."""
    record = read(experiment)
    for name, digest in record.files.items():
        verify(folder(experiment) / name, digest, f"evaluate@{experiment}")
    return record


def content(experiment: str, name: str) -> bytes:
    """The bytes of a measured file, once they are those of the record."""
    return bytes_of(folder(experiment) / name, read(experiment).files.get(name), f"evaluate@{experiment}")


def write_scores(experiment: str, scores: Scores) -> None:
    """Writes scores; the record holds their SHA-256."""
    write_json(folder(experiment) / SCORES, {variant: scores[variant].model_dump() for variant in VARIANTS})


def read_scores(experiment: str) -> Scores:
    """The scores of an experiment, exactly those of every variant."""
    place, stage = folder(experiment) / SCORES, f"evaluate@{experiment}"
    scores = typed(place, json.loads(content(experiment, SCORES)), Scores, stage)
    if tuple(scores) != VARIANTS:
        raise ArtifactError(place, f"is of another version: it has {', '.join(scores) or 'no variant'}", stage)
    return scores


def machine_path(experiment: str) -> Path:
    """Where the kind of machine lies that the model was trained on: on one kind a recipe gives the same bytes."""
    return folder(experiment) / MACHINE


def write_machine(experiment: str, machine: Mapping[str, Any]) -> None:
    """Writes the kind of machine, one entry a fact, in the form that DVC takes for a plot."""
    rows = [{"what": what, "value": value} for what, value in machine.items()]
    document.write(machine_path(experiment), {"machine": rows}, f"evaluate@{experiment}")


def read_machine(experiment: str) -> dict[str, Any]:
    """The kind of machine of an experiment's model."""
    return machine_of(document.read(machine_path(experiment), f"evaluate@{experiment}"))


def machine_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of machine from the content of such a file."""
    return {row["what"]: row["value"] for row in content.get("machine", ())}
