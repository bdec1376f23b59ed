"""Where initial weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from glassbox.params.base import Backbone, Frozen, Sha256
from glassbox.params.sources import PhantomSource


class NoWeights(Frozen):
    """Random initial weights."""

    kind: Literal["none"]


class ImagenetWeights(Frozen):
    """Keras Applications' ImageNet weights."""

    kind: Literal["imagenet"]
    backbone: Literal["vgg16", "resnet50", "inceptionv3"]
    #: Whether ImageNet's classification layers belong to it, for a model with `top`.
    top: bool = False


class FileWeights(Frozen):
    """A Keras weights file (`.weights.h5`) of a backbone."""

    kind: Literal["file"]
    backbone: Backbone
    #: Whether it holds ImageNet's classification layers too.
    top: bool = False
    path: Path
    sha256: Sha256


class PretrainingWeights(Frozen):
    """A short pretraining on generated films of other patients, all findings at once."""

    kind: Literal["pretraining"]
    backbone: Backbone
    #: Whether the backbone carries ImageNet's classification layers, for a model with `top`.
    top: bool = False
    films: PhantomSource
    #: Width and height the films are resized to, in pixels.
    size: Annotated[int, Field(ge=16, le=2048)]
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: NonNegativeInt
    #: As `Training.threads`.
    threads: PositiveInt = 2


Weights = Annotated[NoWeights | ImagenetWeights | FileWeights | PretrainingWeights, Field(discriminator="kind")]
