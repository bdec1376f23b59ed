"""What a task minimises, and how it is judged on validation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from glassbox.training.strategies import infer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.artifacts.history import Epoch
    from glassbox.params.base import Task
    from glassbox.training.data import TrainingData


def minimised(task: Task) -> tuple[str, str]:
    """The loss that training minimises, and its accuracy: each output's at 0.5, or the most probable class's.

    Of a softmax over two classes, binary cross-entropy is categorical cross-entropy term by term. Asked for the
    former, Keras would take the softmax's logits for those of sigmoids, and minimise another loss.
    """
    kind = "binary" if task == "multi_label" else "categorical"
    return f"{kind}_crossentropy", f"{kind}_accuracy"


def majority_accuracy(data: TrainingData) -> float:
    """The validation accuracy of the best answer that is the same for every image.

    Of multi-label outputs it is, of each class, what is true of most images; else the most frequent class.
    """
    shares = data.validation.labels.mean(axis=0, dtype=np.float64)
    if data.task == "multi_label":
        return float(np.maximum(shares, 1 - shares).mean())
    return float(shares.max())


def validate(model: keras.Model, data: TrainingData, loss: str) -> Epoch:
    """Loss, accuracy and ROC AUC on every image of the validation fold once, as it is.

    The area is that of the last class of a binary question, else the mean over classes that are both there and
    not there; NaN where no class is.
    """
    labels, predicted = data.validation.labels, infer(model, data.validation)
    losses = keras.losses.get(loss)(labels, predicted)
    if data.task == "multi_label":
        right = (predicted > 0.5) == (labels > 0.5)
    else:
        right = predicted.argmax(axis=1) == labels.argmax(axis=1)
    asked = labels[:, -1:] if data.task == "binary" else labels
    return {
        "val_loss": float(np.mean(keras.ops.convert_to_numpy(losses))),
        "val_accuracy": float(right.mean()),
        "val_roc_auc": _area(asked, predicted) if np.isfinite(predicted).all() else math.nan,
    }


def _area(labels: NDArray[np.float32], predicted: NDArray[np.float32]) -> float:
    both = [column for column in range(labels.shape[1]) if 0 < labels[:, column].sum() < len(labels)]
    scores = predicted[:, -labels.shape[1] :]
    areas = [roc_auc_score(labels[:, column], scores[:, column]) for column in both]
    return float(np.mean(areas)) if areas else math.nan
