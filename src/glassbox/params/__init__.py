"""The parameters of the pipeline, typed and frozen: what `params.yaml` may say."""

from glassbox.params.base import Backbone, Frozen, Key, Layout, Precision, Sha256, Share
from glassbox.params.data import Dataset, Labels, Method, Split
from glassbox.params.document import Params, load, parse
from glassbox.params.experiments import (
    Augmentation,
    EarlyStopping,
    Evaluation,
    Experiment,
    FirstLayers,
    Model,
    Optimizer,
    Phase,
    Published,
    Training,
)
from glassbox.params.sources import AnySource, ArchiveSource, KaggleSource, PhantomSource, Source
from glassbox.params.weights import FileWeights, ImagenetWeights, NoWeights, PretrainingWeights, Weights

__all__ = [
    "AnySource",
    "ArchiveSource",
    "Augmentation",
    "Backbone",
    "Dataset",
    "EarlyStopping",
    "Evaluation",
    "Experiment",
    "FileWeights",
    "FirstLayers",
    "Frozen",
    "ImagenetWeights",
    "KaggleSource",
    "Key",
    "Labels",
    "Layout",
    "Method",
    "Model",
    "NoWeights",
    "Optimizer",
    "Params",
    "PhantomSource",
    "Phase",
    "Precision",
    "PretrainingWeights",
    "Published",
    "Sha256",
    "Share",
    "Source",
    "Split",
    "Training",
    "Weights",
    "load",
    "parse",
]
