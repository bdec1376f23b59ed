"""A short pretraining on generated films of other patients: every finding at once, as multi-label targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np
from keras import layers

from glassbox.networks import backbones, network, runtime
from glassbox.networks.errors import ModelError
from glassbox.params.experiments import Model, Optimizer
from glassbox.phantoms import films as generated
from glassbox.phantoms.findings import FINDINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from glassbox.params.weights import PretrainingWeights


def pretrain(settings: PretrainingWeights) -> keras.Model:
    """Trains a backbone and returns it by itself, as `backbones.standalone` builds it.

    The films are rendered, used and forgotten; nothing of them reaches a split.
    """
    runtime.prepare(settings.seed, "float32", settings.threads)
    images, targets = _films(settings)
    if len(images) < settings.batch_size:
        raise ModelError(
            f"pretraining has {len(images):,} films for batches of {settings.batch_size:,}",
            "at least one batch",
            "raise films.patients, or lower batch_size",
        )
    backbone = backbones.standalone(settings.backbone, top=settings.top)
    inputs = keras.Input((settings.size, settings.size, 1))
    x = layers.Rescaling(1 / images.std(), -images.mean() / images.std())(inputs)
    if backbones.channels(settings.backbone) == 3:
        x = layers.Concatenate()([x, x, x])
    plain = Model(backbone=settings.backbone, top=settings.top, normalise="none")
    outputs = network.head(plain, backbone(x), targets.shape[1], "multi_label")
    model = keras.Model(inputs, outputs)
    steps = len(images) // settings.batch_size
    schedule = Optimizer(name="adamw", learning_rate=settings.learning_rate, schedule="cosine")
    model.compile(network.optimizer(schedule, steps * settings.epochs), "binary_crossentropy")
    for epoch in range(settings.epochs):
        order = np.random.default_rng((settings.seed, epoch)).permutation(len(images))
        loss = 0.0
        for step in range(steps):
            chosen = order[step * settings.batch_size : (step + 1) * settings.batch_size]
            loss += model.train_on_batch(images[chosen], targets[chosen])
        print(f"pretraining epoch {epoch}: loss {loss / steps:.4g}", flush=True)
    return backbone


def _films(settings: PretrainingWeights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Films as float32 (N, size, size, 1), 0-255, and their findings as float32 (N, 14)."""
    films = generated.cohort(settings.films)
    images = np.empty((len(films), settings.size, settings.size, 1), np.float32)
    for image, film in zip(images, films, strict=True):
        rendered = generated.render(film, settings.films.size)
        image[..., 0] = cv2.resize(rendered, (settings.size, settings.size), interpolation=cv2.INTER_AREA)
    targets = [[finding in film.findings for finding in FINDINGS] for film in films]
    return images, np.array(targets, np.float32)
