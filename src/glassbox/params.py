"""The parameters of the pipeline, typed and frozen: `params.yaml` is parsed once, here, before any work starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from glassbox.errors import ParamsError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
#: Keys become names of files, stages and runs.
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Layout = Literal["nih", "kermany"]
Backbone = Literal["compact", "vgg16", "resnet50"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


class Frozen(pydantic.BaseModel):
    """A block of parameters: immutable, and without room for an unknown key."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


# --- sources -----------------------------------------------------------------------------------------------


class Source(Frozen):
    """What every source has."""

    layout: Layout = "nih"
    #: Share of the listed images that the archive may lack (people do have part of NIH).
    missing_share: Share = 0.0
    #: Share of the archive's images that its tables may fail to list.
    unlisted_share: Share = 0.0


class PhantomSource(Source):
    """Generated chest films in NIH's layout."""

    kind: Literal["phantom"]
    layout: Literal["nih"] = "nih"
    seed: NonNegativeInt
    #: Number of patients; films follow from NIH's skew, about 3.6 a patient.
    patients: PositiveInt
    #: Number of the first patient, so that two sources can hold different people.
    first_patient: PositiveInt = 1
    #: Width and height of a film in pixels.
    size: Annotated[int, Field(ge=32, le=4096)]
    #: Share of films with a finding, where it is to differ from NIH's.
    prevalence: dict[str, Share] = {}


class ArchiveSource(Source):
    """A zip that is on disk already."""

    kind: Literal["archive"]
    path: Path
    sha256: Sha256


class KaggleSource(Source):
    """A dataset of Kaggle, at a pinned version."""

    kind: Literal["kaggle"]
    ref: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")]
    version: PositiveInt


AnySource = Annotated[PhantomSource | ArchiveSource | KaggleSource, Field(discriminator="kind")]


# --- datasets and splits -----------------------------------------------------------------------------------


class Dataset(Frozen):
    """A source at a size."""

    source: Key
    #: Width and height of the stored images in pixels.
    size: Annotated[int, Field(ge=16, le=2048)]
    #: Images in one shard.
    shard_images: PositiveInt = 512
    #: Share of the images that may be unreadable before the stage fails.
    rejected_share: Share = 0.001


class Labels(Frozen):
    """A binary question: one finding against another, or against everything else (`rest`)."""

    positive: str
    negative: str = "No Finding"

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive!r}")
        return self


class Split(Frozen):
    """Who is in, in which fold, and how often an image is shown in an epoch."""

    #: The source whose images are split.
    source: Key
    #: The dataset of it whose rejected images are left out and whose pixels the statistics describe.
    dataset: Key
    labels: Labels
    #: Use the archive's own test list as the test fold; otherwise cut one of `test` of the patients.
    official_test: bool
    test: Share = 0.2
    #: Share of the remaining patients that becomes the validation fold.
    validation: Annotated[float, Field(gt=0.0, lt=1.0)]
    #: Number of images to sample before splitting, or null for all.
    sample: PositiveInt | None = None
    #: How many images of each class an epoch of training shows: a number, the largest or smallest class's, or
    #: `none` for every image once.
    balance: PositiveInt | Literal["largest", "smallest", "none"]
    seed: NonNegativeInt


# --- weights -----------------------------------------------------------------------------------------------


class NoWeights(Frozen):
    """Random initial weights."""

    kind: Literal["none"]


class ImagenetWeights(Frozen):
    """Keras Applications' ImageNet weights, without the classification head."""

    kind: Literal["imagenet"]
    backbone: Literal["vgg16", "resnet50"]


class FileWeights(Frozen):
    """A Keras weights file (`.weights.h5`) of a backbone."""

    kind: Literal["file"]
    backbone: Backbone
    path: Path
    sha256: Sha256


class PretrainingWeights(Frozen):
    """A short pretraining on generated films of other patients, all findings at once."""

    kind: Literal["pretraining"]
    backbone: Backbone
    films: PhantomSource
    #: Width and height the films are resized to, in pixels.
    size: Annotated[int, Field(ge=16, le=2048)]
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: NonNegativeInt


Weights = Annotated[NoWeights | ImagenetWeights | FileWeights | PretrainingWeights, Field(discriminator="kind")]


# --- experiments -------------------------------------------------------------------------------------------


class Model(Frozen):
    """A network: what it does to pixels, its backbone and its head."""

    backbone: Backbone
    #: Per-image min-max to 0-255, standardisation by the training fold's mean and deviation, or neither.
    normalise: Literal["none", "minmax", "standardise"]
    #: `imagenet`: the backbone's own preprocessing, on 0-255.
    preprocess: Literal["none", "imagenet"] = "none"
    #: Units of the fully connected layers between global average pooling and the output.
    dense: tuple[PositiveInt, ...] = ()
    #: Dropout before the output.
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if self.preprocess == "imagenet" and self.normalise == "standardise":
            raise ValueError("preprocess: imagenet expects 0-255, which normalise: standardise leaves")
        if self.preprocess == "imagenet" and self.backbone == "compact":
            raise ValueError("backbone: compact has no preprocess: imagenet")
        return self


class Augmentation(Frozen):
    """Ranges from which one affine transformation is drawn for each image; all zero means none."""

    horizontal_flip: bool = False
    #: Shift of height and width, as a share of the side, either way.
    shift: Share = 0.0
    #: Rotation in degrees, either way.
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    #: Shear angle in degrees, either way (the legacy generator's unit).
    shear: Annotated[float, Field(ge=0.0, lt=90.0)] = 0.0
    #: Zoom either way: 0.1 draws factors from 0.9 to 1.1, for height and width apart.
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class Training(Frozen):
    """What both phases share."""

    seed: NonNegativeInt
    batch_size: PositiveInt
    precision: Precision = "float32"


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


class EarlyStopping(Frozen):
    """Stop when the validation loss has not fallen for `patience` epochs; keep the best weights."""

    patience: PositiveInt


class Phase(Frozen):
    """A phase of training."""

    epochs: NonNegativeInt
    freeze: Literal["nothing", "backbone", "batch_normalisation"] | FirstLayers
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
    scores: dict[Literal["test_clean", "test_augmented"], dict[str, float]] = {}


class Experiment(Frozen):
    """One published system, or a variant of one."""

    title: str
    dataset: Key
    split: Key
    weights: Key
    model: Model
    augmentation: Augmentation
    training: Training
    warm_start: Phase
    fine_tune: Phase
    evaluation: Evaluation
    published: Published


class Params(Frozen):
    """All of `params.yaml`."""

    profile: Key
    sources: dict[Key, AnySource]
    datasets: dict[Key, Dataset]
    splits: dict[Key, Split]
    weights: dict[Key, Weights]
    experiments: dict[Key, Experiment]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for key, dataset in self.datasets.items():
            _exists(f"datasets.{key}.source", dataset.source, self.sources)
        for key, split in self.splits.items():
            _exists(f"splits.{key}.dataset", split.dataset, self.datasets)
            _one_source(f"splits.{key}", split.dataset, self.datasets[split.dataset].source, split.source)
        for key, experiment in self.experiments.items():
            _exists(f"experiments.{key}.dataset", experiment.dataset, self.datasets)
            _exists(f"experiments.{key}.split", experiment.split, self.splits)
            _exists(f"experiments.{key}.weights", experiment.weights, self.weights)
            if key in ("sources", "catalogs", "splits"):
                raise ValueError(f"experiments.{key}: the name is taken by a folder of metrics/")
            source = self.datasets[experiment.dataset].source
            _one_source(f"experiments.{key}", experiment.dataset, source, self.splits[experiment.split].source)
            backbone = getattr(self.weights[experiment.weights], "backbone", experiment.model.backbone)
            if backbone != experiment.model.backbone:
                raise ValueError(
                    f"experiments.{key}: weights {experiment.weights!r} are of backbone {backbone!r}, "
                    f"its model has {experiment.model.backbone!r}"
                )
        return self


def _exists(place: str, name: str, among: dict[str, Any]) -> None:
    if name not in among:
        raise ValueError(f"{place} names {name!r}; there are: {', '.join(sorted(among)) or 'none'}")


def _one_source(place: str, dataset: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise ValueError(f"{place}: dataset {dataset!r} is of source {found!r}, the split of {wanted!r}")


def load(path: Path) -> Params:
    """Reads and checks a params file.

    Raises:
        ParamsError: The file is missing, is no YAML mapping, or holds a wrong value; every wrong place is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(
            f"{path} is not there",
            "the composed parameters in the project's root",
            "run `glassbox use demo`",
        ) from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParamsError(
            f"{path} is no YAML: {error}", "a YAML mapping", "mend it, or run `glassbox use demo`"
        ) from None
    return parse(values, str(path))


def parse(values: Any, place: str) -> Params:
    """Checks composed parameters; `place` names them in messages."""
    try:
        return Params.model_validate(values)
    except pydantic.ValidationError as error:
        raise ParamsError(
            "\n  ".join(f"{place}: {_describe(detail, values)}" for detail in error.errors()),
            "parameters as src/glassbox/params.py describes them",
            "mend the named places, or compose the file anew with `glassbox use PROFILE`",
        ) from None


def _describe(detail: Any, values: Any) -> str:
    where = _where(detail, values)
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"{where}unknown key; allowed here: {', '.join(_allowed(detail['loc'][:-1]))}"
    if detail["type"] == "missing":
        return f"{where}missing"
    if detail["type"] == "value_error" and isinstance(detail["input"], dict):
        return f"{where}{message}"
    return f"{where}found {detail['input']!r}: {message}"


def _where(detail: Any, values: Any) -> str:
    """The place as it stands in the file: pydantic's has the branches of unions between the keys."""
    parts = []
    for part in detail["loc"]:
        if (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int)):
            values = values[part]
            parts.append(str(part))
    if detail["type"] == "missing":
        parts.append(str(detail["loc"][-1]))
    return f"{'.'.join(parts)}: " if parts else ""


def _allowed(loc: tuple[str | int, ...]) -> list[str]:
    """The keys of the block at `loc`, in which pydantic names the branch of a union between the keys."""
    schema = Params.model_json_schema()
    block: Any = schema
    for part in loc:
        if part in block.get("properties", {}):
            block = block["properties"][part]
        elif "discriminator" in block:
            block = {"$ref": block["discriminator"]["mapping"][part]}
        elif "anyOf" in block:
            block = {"$ref": f"#/$defs/{part}"}
        else:
            (block,) = block["patternProperties"].values()
        if {"type": "null"} in block.get("anyOf", []):
            block = next(branch for branch in block["anyOf"] if branch != {"type": "null"})
        if "$ref" in block:
            block = schema["$defs"][block["$ref"].rpartition("/")[2]]
    return list(block["properties"])
