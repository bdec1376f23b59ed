"""Keras' optimisers and their schedules, as the published systems had them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from glassbox.params.experiments import Optimizer


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
