"""Where the initial weights of a backbone come from: Keras' download, a file, or a pretraining here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.files import sha256_file
from glassbox.learning import backbones, weights
from glassbox.learning.errors import ModelError
from glassbox.learning.pretraining import pretrain
from glassbox.params.weights import FileWeights, ImagenetWeights, PretrainingWeights

if TYPE_CHECKING:
    import keras


def obtain(settings: ImagenetWeights | FileWeights | PretrainingWeights, place: str) -> keras.Model:
    """A backbone by itself with its initial weights; `place` names them in messages.

    Raises:
        ModelError: The weights cannot be had, are not the promised ones, or are of another architecture.
    """
    if isinstance(settings, PretrainingWeights):
        return pretrain(settings)
    if isinstance(settings, ImagenetWeights):
        return _imagenet(settings, place)
    return _from_file(settings, place)


def _imagenet(settings: ImagenetWeights, place: str) -> keras.Model:
    try:
        return backbones.standalone(settings.backbone, top=settings.top, weights="imagenet")
    except Exception as error:  # noqa: BLE001 (Keras raises a bare Exception when a download fails)
        raise ModelError(
            f"{place}: Keras could not fetch the ImageNet weights of {settings.backbone}: {error}",
            "a connection to Keras' storage, or the file in its cache (~/.keras/models)",
            f"run again when connected, or set {place} to kind: file with a weights file you have",
        ) from None


def _from_file(settings: FileWeights, place: str) -> keras.Model:
    if not settings.path.is_file():
        raise ModelError(f"{place}: there is no file {settings.path}", "the weights file", f"correct {place}.path")
    if (found := sha256_file(settings.path)) != settings.sha256:
        raise ModelError(
            f"{place}: {settings.path} has sha256 {found}",
            f"sha256 {settings.sha256}",
            f"use the file that is meant, or set {place}.sha256 to what was found",
        )
    return weights.load(settings.backbone, settings.path, place, top=settings.top)
