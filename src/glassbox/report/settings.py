"""What the experiments were run with, side by side and in words: data, model and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from glassbox.params import (
    ArchiveSource,
    FileWeights,
    FirstLayers,
    ImagenetWeights,
    KaggleSource,
    NoWeights,
    PhantomSource,
    PretrainingWeights,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.params import Augmentation, Optimizer, Params, Phase
    from glassbox.report.results import Result


@dataclass(frozen=True)
class Setting:
    """One row: a setting and its value in every experiment."""

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the experiments do not all have one value."""
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Group:
    """Settings that belong together."""

    title: str
    settings: tuple[Setting, ...]


def groups(params: Params, results: Sequence[Result]) -> list[Group]:
    """The settings of all experiments, one column an experiment."""
    columns = [_column(params, result) for result in results]
    return [
        Group(
            title,
            tuple(Setting(name, tuple(column[title][name] for column in columns)) for name in rows),
        )
        for title, rows in columns[0].items()
    ]


def _column(params: Params, result: Result) -> dict[str, dict[str, str]]:
    """One experiment's settings: group -> setting -> value in words. The same keys for every experiment."""
    experiment = result.experiment
    dataset, split = params.datasets[experiment.dataset], params.splits[experiment.split]
    scores = result.scores["test_clean"]
    model, training = experiment.model, experiment.training
    return {
        "Data": {
            "Source": f"{dataset.source}: {_source(params.sources[dataset.source])}",
            "Dataset": f"{experiment.dataset}: {dataset.size} \N{MULTIPLICATION SIGN} {dataset.size} pixels",
            "Question": f"{split.labels.positive} against {_against(split.labels.negative)}",
            "Split": experiment.split,
            "Test fold": "the source's own test list"
            if split.official_test
            else f"{split.test:.3g} of the patients",
            "Validation fold": f"{split.validation:.3g} of the remaining patients",
            "Images sampled": "all" if split.sample is None else f"{split.sample:,}",
            "Shown an epoch": _balance(split.balance),
            "Split seed": str(split.seed),
        },
        "Test fold as measured": {
            "Images": f"{scores.images:,}",
            "Patients": f"{scores.patients:,}",
            "Positive": f"{scores.prevalence:.1%}",
            "Majority classifier": f"{scores.majority_accuracy:.3f} accuracy",
        },
        "Model": {
            "Backbone": model.backbone,
            "Initial weights": _weights(params, experiment.weights),
            "Pixels": _pixels(model.normalise, model.preprocess),
            "Dense layers": ", ".join(map(str, model.dense)) or "none",
            "Dropout": f"{model.dropout:g}",
        },
        "Warm start": _phase(experiment.warm_start),
        "Fine-tuning": _phase(experiment.fine_tune),
        "Training": {
            "Batch size": str(training.batch_size),
            "Augmentation": _augmentation(experiment.augmentation),
            "Precision": training.precision,
            "Seed": str(training.seed),
        },
        "Intervals": {
            "Resamples of patients": f"{experiment.evaluation.resamples:,}",
            "Confidence": f"{experiment.evaluation.confidence:.4g}",
            "Seed": str(experiment.evaluation.seed),
        },
    }


def _source(source: PhantomSource | ArchiveSource | KaggleSource) -> str:
    match source:
        case PhantomSource():
            return f"generated films of {source.patients:,} patients, seed {source.seed}"
        case KaggleSource():
            return f"Kaggle, {source.ref}, version {source.version}"
        case ArchiveSource():
            return f"an archive, SHA-256 {source.sha256[:12]}\N{HORIZONTAL ELLIPSIS}"


def _against(negative: str) -> str:
    return "everything else" if negative == "rest" else negative


def _balance(balance: int | str) -> str:
    match balance:
        case "none":
            return "every image once"
        case "largest" | "smallest":
            return f"as many of each class as the {balance} has"
        case _:
            return f"{balance:,} images of each class"


def _weights(params: Params, name: str) -> str:
    match params.weights[name]:
        case NoWeights():
            return "random"
        case ImagenetWeights():
            return "ImageNet"
        case FileWeights(sha256=sha256):
            return f"a file, SHA-256 {sha256[:12]}\N{HORIZONTAL ELLIPSIS}"
        case PretrainingWeights(epochs=epochs, films=films):
            return f"{epochs} epochs on generated films of {films.patients:,} other patients"


def _pixels(normalise: str, preprocess: str) -> str:
    steps = {
        "minmax": "each image stretched to 0-255",
        "standardise": "standardised by the training fold",
        "imagenet": "the backbone's own preprocessing",
    }
    return ", ".join(steps[step] for step in (normalise, preprocess) if step != "none") or "as stored, 0-255"


def _phase(phase: Phase) -> dict[str, str]:
    """A phase's settings; one of no epochs has none worth naming."""
    if not phase.epochs:
        return dict.fromkeys(_PHASE, "\N{EN DASH}") | {"Epochs": "0"}
    stopping = phase.early_stopping
    values = (
        str(phase.epochs) if stopping is None else f"{phase.epochs} at most, patience {stopping.patience}",
        _optimizer(phase.optimizer),
        f"{phase.optimizer.learning_rate:g}",
        f"first {phase.freeze.first} layers" if isinstance(phase.freeze, FirstLayers) else _words(phase.freeze),
        _words(phase.loss),
    )
    return dict(zip(_PHASE, values, strict=True))


_PHASE = ("Epochs", "Optimiser", "Learning rate", "Frozen", "Loss")


def _optimizer(optimizer: Optimizer) -> str:
    defaults = type(optimizer).model_fields
    extras = [
        name if value is True else f"{_words(name)} {value if isinstance(value, str) else format(value, 'g')}"
        for name, value in optimizer
        if name not in ("name", "learning_rate") and value != defaults[name].default
    ]
    return ", ".join([optimizer.name, *extras])


def _augmentation(augmentation: Augmentation) -> str:
    units = {"rotation": "\N{DEGREE SIGN}", "shear": "\N{DEGREE SIGN}"}
    drawn = [
        _words(name) if value is True else f"{_words(name)} \N{PLUS-MINUS SIGN}{value:g}{units.get(name, '')}"
        for name, value in augmentation
        if value
    ]
    return ", ".join(drawn) or "none"


def _words(name: str) -> str:
    return name.replace("_", " ")
