"""What a network said of every test image, beside the truth: what is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from glassbox.artifacts import predictions as artifact
from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params.base import Task

#: How far above 1 or below 0 the float32 rounding of a softmax may lie.
ROUNDING = 1e-5

#: A sigmoid above it says that an image has the class, as in Keras' binary accuracy.
THRESHOLD = 0.5


class EvaluationError(GlassboxError):
    """Predictions cannot be scored."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """One test variant: N images of P patients, C classes."""

    task: Task
    #: Names of the classes, in the order of the network's outputs: of two the positive one is the last, of more
    #: the absence of findings is the first.
    classes: tuple[str, ...]
    #: Identifiers of the images, (N,) str; an image that a recipe draws twice is there twice.
    images: NDArray[np.str_]
    #: Position of each image's patient among the sorted patients, (N,) int64 in 0..P-1.
    patients: NDArray[np.int64]
    #: Which classes each image is of, (N, C): exactly one, but for `multi_label`.
    labels: NDArray[np.bool_]
    #: (N, C) float32 in 0..1.
    probabilities: NDArray[np.float32]

    @property
    def patient_count(self) -> int:
        """P, the number of patients."""
        return int(self.patients.max()) + 1

    @property
    def two_sided(self) -> list[int]:
        """Positions of the classes that some images have and others have not; no other has a ROC curve."""
        return np.flatnonzero(self.labels.any(axis=0) & ~self.labels.all(axis=0)).tolist()

    @property
    def ranked(self) -> list[int]:
        """Positions of the classes whose ROC curves count: all that have one, but of two the positive one's."""
        return self.two_sided[-1:] if self.task == "binary" else self.two_sided

    @property
    def decisions(self) -> NDArray[np.bool_]:
        """Which classes each image is said to be of, (N, C).

        The most probable one, among equals the first; for `multi_label` all that are above `THRESHOLD`.
        """
        if self.task == "multi_label":
            return np.asarray(np.greater(self.probabilities, THRESHOLD))
        best = self.probabilities.argmax(axis=1)
        return np.asarray(np.equal(best[:, None], np.arange(len(self.classes))))

    @property
    def answers(self) -> int:
        """How many questions are asked of each image: one, or one a class."""
        return len(self.classes) if self.task == "multi_label" else 1

    @property
    def right(self) -> NDArray[np.int64]:
        """How many of its questions are answered rightly, image by image, (N,) int64 in 0..answers."""
        same = self.decisions == self.labels
        return np.asarray(same.sum(axis=1) if self.task == "multi_label" else same.all(axis=1), dtype=np.int64)


def read(experiment: str, variant: str, task: Task, model_sha256: str) -> Predictions:
    """Reads and checks the predictions of one variant.

    Args:
        experiment: Key of the experiment.
        variant: Which test set.
        task: What the network was asked.
        model_sha256: Of the network.

    Raises:
        ArtifactError: The file is missing, damaged, or of another model.
        EvaluationError: It has labels that do not fit the task, a probability that is no number from 0 to 1, or no
            class that some images have and others have not.
    """
    path = artifact.folder(experiment) / f"{variant}.parquet"
    found = artifact.read(experiment, variant, model_sha256)
    # Written so that NaN, of which every comparison is false, is out of range too.
    wrong = ~((found.probabilities >= -ROUNDING) & (found.probabilities <= 1 + ROUNDING))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        value = found.probabilities[row, column]
        raise EvaluationError(
            f"{path}: {artifact.PROBABILITY}{found.classes[column]} is {value} in row {row}",
            "numbers from 0 to 1",
            "lower the learning rate or use precision: float32, then run `dvc repro`",
        )
    one_hot = (found.labels.sum(axis=1) == 1).all()
    if (task == "binary" and len(found.classes) > 2) or (task != "multi_label" and not one_hot):
        raise EvaluationError(
            f"{path} has {len(found.classes)} classes, {'one' if one_hot else 'more or less than one'} an image",
            f"labels that answer its split's question, {task}",
            f"run `dvc repro --force predict@{experiment}`",
        )
    predictions = Predictions(
        task=task,
        classes=found.classes,
        images=found.images,
        patients=np.unique(found.patients, return_inverse=True)[1],
        labels=found.labels.astype(np.bool_),
        probabilities=found.probabilities,
    )
    if not predictions.ranked:
        names = [name for name, has in zip(found.classes, predictions.labels[0], strict=True) if has]
        raise EvaluationError(
            f"{path}: all {len(predictions.labels)} images are {' and '.join(names) or 'of no class'}",
            "a class that some images have and others have not, without which there is no ROC curve",
            "enlarge the split's test fold or its sample, or change its seed, then run `dvc repro`",
        )
    return predictions
