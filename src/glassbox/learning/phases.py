"""A phase of training: whole epochs over a fold, validation after each, early stopping on what was not seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from glassbox.errors import ModelError
from glassbox.learning import batches
from glassbox.learning.freezing import freeze
from glassbox.learning.inference import infer

if TYPE_CHECKING:
    from collections.abc import Callable

    from glassbox.learning.batches import Fold
    from glassbox.learning.history import Row
    from glassbox.params import Augmentation, Optimizer, Phase, Training

_DECIMALS = 6
#: Of a softmax over two classes, binary cross-entropy is categorical cross-entropy term by term. Asked for the
#: former, Keras would take the softmax's logits for those of sigmoids, and minimise another loss.
_MINIMISED = "categorical_crossentropy"


def run(
    model: keras.Model,
    phase: Phase,
    *,
    name: str,
    training: Training,
    augmentation: Augmentation,
    train: Fold,
    validation: Fold,
    first_epoch: int,
    on_epoch: Callable[[Row], None],
) -> list[Row]:
    """Trains a model in place.

    With early stopping the model ends with the weights of its best epoch, else with those of its last.

    Args:
        model: A network of `network.build`.
        phase: Epochs, frozen layers, optimiser, loss and early stopping.
        name: `warm_start` or `fine_tune`, for the history.
        training: Seed and batch size.
        augmentation: How training images vary.
        train: What is trained on.
        validation: What decides when to stop; the test fold is never seen here.
        first_epoch: Number of the first epoch; numbers run on from phase to phase.
        on_epoch: Called with the row of each finished epoch.

    Returns:
        The history, a row an epoch.

    Raises:
        ModelError: The loss is no longer a number.
    """
    freeze(model, phase)
    batch_size = min(training.batch_size, int(train.draws.sum()))
    steps = batches.steps(train, batch_size)
    model.compile(optimizer(phase.optimizer, steps * max(phase.epochs, 1)), _MINIMISED, metrics=["accuracy"])
    stopping = None
    if phase.early_stopping:
        stopping = keras.callbacks.EarlyStopping(
            "val_loss", patience=phase.early_stopping.patience, restore_best_weights=True
        )
        stopping.set_model(model)
        stopping.on_train_begin()
    model.stop_training = False
    history: list[Row] = []
    for epoch in range(first_epoch, first_epoch + phase.epochs):
        sums = np.zeros(2)
        for images, labels in batches.training(train, augmentation, batch_size, training.seed, epoch):
            sums += model.train_on_batch(images, labels)
        loss, accuracy = sums / steps
        row: Row = {"epoch": epoch, "phase": name, "loss": loss, "accuracy": accuracy}
        row |= _validate(model, validation, phase.loss)
        row["learning_rate"] = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        row = {key: _rounded(value) for key, value in row.items()}
        if not math.isfinite(float(row["loss"])) or not math.isfinite(float(row["val_loss"])):
            raise ModelError(
                f"{name}, epoch {epoch}: the loss is {row['loss']}, on validation {row['val_loss']}",
                "a finite loss",
                f"lower {name}.optimizer.learning_rate, or use precision: float32",
            )
        history.append(row)
        on_epoch(row)
        if stopping:
            stopping.on_epoch_end(epoch, row)
        if model.stop_training:
            break
    if stopping:
        stopping.on_train_end()
    return history


def optimizer(settings: Optimizer, steps: int) -> keras.optimizers.Optimizer:
    """The optimiser of a phase of so many steps, in today's Keras terms."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)
    elif settings.decay:
        # Keras 3 accepts the old `decay` argument and ignores it; this is what it meant.
        rate = keras.optimizers.schedules.InverseTimeDecay(settings.learning_rate, 1, settings.decay)
    if settings.name == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=settings.nesterov)
    if settings.name == "rmsprop":
        return keras.optimizers.RMSprop(rate)
    if settings.name == "adam":
        return keras.optimizers.Adam(rate, beta_1=settings.beta_1)
    return keras.optimizers.AdamW(rate, beta_1=settings.beta_1, weight_decay=settings.weight_decay)


def _validate(model: keras.Model, fold: Fold, loss: str) -> Row:
    """Loss, accuracy and ROC AUC (of the last class) on every image once, as it is."""
    predicted = infer(model, fold)
    loss_value = keras.losses.get(loss)(fold.labels, predicted)
    right = predicted.argmax(axis=1) == fold.labels.argmax(axis=1)
    finite = bool(np.isfinite(predicted).all())
    return {
        "val_loss": float(np.mean(keras.ops.convert_to_numpy(loss_value))),
        "val_accuracy": float(right.mean()),
        "val_roc_auc": float(roc_auc_score(fold.labels[:, -1], predicted[:, -1])) if finite else math.nan,
    }


def _rounded(value: float | int | str) -> float | int | str:
    return value if isinstance(value, int | str) else round(float(value), _DECIMALS)
