"""The weights stage: initial weights of a backbone, downloaded, given as a file, trained here, or random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox import backend
from glassbox.artifacts import weights as artifact
from glassbox.files import sha256_file
from glassbox.networks.errors import ModelError
from glassbox.params.weights import FileWeights, ImagenetWeights, NoWeights

if TYPE_CHECKING:
    import keras

    from glassbox.params.weights import PretrainingWeights, Weights


def make(settings: Weights, name: str) -> None:
    """Writes initial weights: a Keras weights file of the backbone, or the word that random ones are meant.

    Raises:
        ModelError: The weights cannot be had, are not the promised ones, or are of another architecture.
    """
    artifact.write(name, None if isinstance(settings, NoWeights) else _trained(settings, name).save_weights)


def _trained(settings: ImagenetWeights | FileWeights | PretrainingWeights, name: str) -> keras.Model:
    """A backbone by itself with its initial weights."""
    # Keras takes seconds to start, for which random weights need not wait.
    backend.start()
    from glassbox.networks import backbones
    from glassbox.networks.pretraining import pretrain

    place = f"weights.{name}"
    if isinstance(settings, FileWeights):
        _verify(settings, place)
        return backbones.load(settings.backbone, settings.path, place, top=settings.top)
    if not isinstance(settings, ImagenetWeights):
        return pretrain(settings)
    try:
        return backbones.standalone(settings.backbone, top=settings.top, weights="imagenet")
    except Exception as error:  # noqa: BLE001 (Keras raises a bare Exception when a download fails)
        raise ModelError(
            f"{place}: Keras could not fetch the ImageNet weights of {settings.backbone}: {error}",
            "a connection to Keras' storage, or the file in its cache (~/.keras/models)",
            f"run again when connected, or set {place} to kind: file with a weights file you have",
        ) from None


def _verify(settings: FileWeights, place: str) -> None:
    if not settings.path.is_file():
        raise ModelError(f"{place}: there is no file {settings.path}", "the weights file", f"correct {place}.path")
    if (found := sha256_file(settings.path)) != settings.sha256:
        raise ModelError(
            f"{place}: {settings.path} has sha256 {found}",
            f"sha256 {settings.sha256}",
            f"use the file that is meant, or set {place}.sha256 to what was found",
        )
