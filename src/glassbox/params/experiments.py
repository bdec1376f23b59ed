"""One published system: its network, its training and its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from glassbox.params.base import Backbone, Frozen, Key, Precision, Share

PhaseName = Literal["warm_start", "fine_tune"]
PHASES: tuple[PhaseName, ...] = ("warm_start", "fine_tune")
#: What every experiment is tested on, in the order of tables and figures.
Variant = Literal["test_clean", "test_augmented"]
VARIANTS: tuple[str, ...] = get_args(Variant)
#: Holds no cells, so that nothing is chosen: DVC cannot let a stage depend on a file in one experiment and on
#: none in another.
NO_CHOICE = Path("conf/choice/none.json")


class Model(Frozen):
    """A network: what it does to pixels, its backbone and its head."""

    backbone: Backbone
    #: Keep ImageNet's classification layers, which end in a softmax over 1000, below the head.
    top: bool = False
    #: Momentum of the backbone's batch normalisation, or null for the architecture's own.
    momentum: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    #: Per-image min-max to 0-255, standardisation by the training fold's mean and deviation, or neither.
    normalise: Literal["none", "minmax", "standardise"]
    #: `imagenet`: the backbone's own preprocessing, on 0-255.
    preprocess: Literal["none", "imagenet"] = "none"
    #: Batch normalisation after global average pooling.
    batch_normalisation: bool = False
    #: Units of the fully connected layers between global average pooling and the output.
    dense: tuple[PositiveInt, ...] = ()
    #: Dropout before the output.
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    #: Initial weights of the output: Keras' default, or uniform on [-0.05, 0.05].
    output_weights: Literal["glorot_uniform", "random_uniform"] = "glorot_uniform"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.preprocess == "imagenet" and self.normalise == "standardise":
            raise ValueError("preprocess: imagenet expects 0-255, which normalise: standardise leaves")
        if self.preprocess == "imagenet" and self.backbone == "compact":
            raise ValueError("backbone: compact has no preprocess: imagenet")
        if self.top and self.backbone not in ("resnet50", "inceptionv3"):
            raise ValueError(
                f"backbone: {self.backbone} has no classification layers that fit any size; top is for "
                "resnet50 and inceptionv3"
            )
        if self.momentum is not None and self.backbone == "vgg16":
            raise ValueError("backbone: vgg16 has no batch normalisation whose momentum could be set")
        return self


class Augmentation(Frozen):
    """Ranges from which the variation of each image is drawn; all zero means none.

    Flips, shifts, rotation, shear and zoom make one affine transformation; brightness and edges follow.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    #: Shift of height and width, as a share of the side, either way.
    shift: Share = 0.0
    #: Rotation in degrees, either way.
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    #: Shear angle in degrees, either way (the legacy generator's unit).
    shear: Annotated[float, Field(ge=0.0, lt=90.0)] = 0.0
    #: Zoom either way: 0.1 draws factors from 0.9 to 1.1, for height and width apart.
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    #: Factor of the grey levels either way: 0.2 draws factors from 0.8 to 1.2; levels end at 255.
    brightness: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    #: Edge highlighting: the largest share of its edges (Sobel) that is blended into an image.
    edges: Share = 0.0


class Training(Frozen):
    """What both phases share."""

    seed: NonNegativeInt
    batch_size: PositiveInt
    #: Threads that a step is computed on. Another number adds in another order and gives another model, so it does
    #: not follow the machine's cores.
    threads: PositiveInt = 2
    #: Train on so many images of the training fold, drawn by the seed, or null for all.
    images: PositiveInt | None = None
    precision: Precision = "float32"
    #: `mirrored`: a copy of the model on every GPU of the machine, each of which takes an equal part of a batch.
    strategy: Literal["none", "mirrored"] = "none"
    #: `balanced`: the loss of an image counts by its class, images / (classes * images of the class).
    class_weight: Literal["none", "balanced"] = "none"


class Optimizer(Frozen):
    """An optimiser of Keras and its schedule."""

    name: Literal["sgd", "rmsprop", "adam", "adamw"]
    learning_rate: PositiveFloat
    #: `cosine`: from the learning rate to zero over the phase's steps.
    schedule: Literal["constant", "cosine"] = "constant"
    #: The old `decay` argument of Keras: learning_rate / (1 + decay * step).
    decay: Annotated[float, Field(ge=0.0)] = 0.0
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    nesterov: bool = False
    beta_1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.name != "sgd" and (self.momentum or self.nesterov):
            raise ValueError(f"momentum and nesterov belong to sgd, not to {self.name}")
        if self.name not in ("adam", "adamw") and self.beta_1 != 0.9:
            raise ValueError(f"beta_1 belongs to adam and adamw, not to {self.name}")
        if self.name != "adamw" and self.weight_decay:
            raise ValueError(f"weight_decay belongs to adamw, not to {self.name}")
        if self.schedule == "cosine" and self.decay:
            raise ValueError("schedule: cosine and decay are two schedules")
        return self


class FirstLayers(Frozen):
    """Freeze the first layers of the backbone, its InputLayer counted, as the sources count them."""

    first: PositiveInt


class AllButLastLayers(Frozen):
    """Freeze the backbone but for its last layers that have parameters, batch normalisation counted."""

    all_but_last: NonNegativeInt


#: Which layers of the backbone rest; the head always trains. `everything` is the whole backbone.
Freeze = Literal["nothing", "everything", "all_but_batch_normalisation"] | FirstLayers | AllButLastLayers


class EarlyStopping(Frozen):
    """Stop when the validation loss has not fallen for `patience` epochs; keep the best weights."""

    patience: PositiveInt
    #: Stop as soon as the validation loss is below this, too.
    below: PositiveFloat | None = None


class Phase(Frozen):
    """A phase of training."""

    epochs: NonNegativeInt
    #: Batches in an epoch, or null for as many as the training fold fills.
    steps_per_epoch: PositiveInt | None = None
    freeze: Freeze
    optimizer: Optimizer
    loss: Literal["categorical_crossentropy", "binary_crossentropy"]
    early_stopping: EarlyStopping | None = None


class Evaluation(Frozen):
    """How intervals are drawn: a bootstrap over patients."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    seed: NonNegativeInt


class Published(Frozen):
    """What the source reports, to be shown beside what was measured."""

    source: str
    #: variant -> metric -> value, in the names of scores.json.
    scores: dict[Variant, dict[str, float]] = Field(default={})


class Choice(Frozen):
    """The cell of a grid whose images and frozen layers an experiment is trained with, in place of its own."""

    #: What the choose stage of a grid writes, or `NO_CHOICE`.
    file: Path = NO_CHOICE
    #: Which of the file's cells: 1 is the best.
    rank: PositiveInt = 1


class Experiment(Frozen):
    """One published system, or a variant of one."""

    title: str
    #: Where the recipe differs from its source and why: a name and one sentence each. Null takes back the sentence
    #: that a recipe has from the one it starts from.
    departures: dict[Key, str | None] = Field(default={})
    #: Its dataset is the split's.
    split: Key
    weights: Key
    model: Model
    augmentation: Augmentation
    training: Training
    warm_start: Phase
    fine_tune: Phase
    choice: Choice = Choice()
    evaluation: Evaluation
    published: Published
