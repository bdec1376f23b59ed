"""What the experiments were run with, side by side and in words: data, model and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glassbox.params.experiments import NO_CHOICE, AllButLastLayers, FirstLayers
from glassbox.params.sources import ArchiveSource, KaggleSource, PhantomSource
from glassbox.params.splits import BinaryLabels, MultiLabels, SingleLabels
from glassbox.params.weights import FileWeights, ImagenetWeights, NoWeights, PretrainingWeights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glassbox.params.experiments import Augmentation, Choice, Freeze, Model, Optimizer, Phase
    from glassbox.params.splits import Labels, Split
    from glassbox.params.weights import Weights
    from glassbox.report.results import Result


PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


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


def groups(results: Sequence[Result]) -> list[Group]:
    """The settings of all experiments, one column an experiment."""
    columns = [_column(result) for result in results]
    return [
        Group(
            title,
            tuple(Setting(name, tuple(column[title][name] for column in columns)) for name in rows),
        )
        for title, rows in columns[0].items()
    ]


def _column(result: Result) -> dict[str, dict[str, str]]:
    """One experiment's settings: group -> setting -> value in words. The same keys for every experiment."""
    experiment = result.settings
    dataset, split = result.resolved.dataset, result.resolved.split
    scores = result.scores["test_clean"]
    model, training = experiment.model, experiment.training
    return {
        "Data": {
            "Source": f"{dataset.source}: {_source(result.resolved.source)}",
            "Dataset": f"{split.dataset}: {dataset.size} \N{MULTIPLICATION SIGN} {dataset.size} pixels",
            "Question": _question(split.labels, len(scores.classes)),
            "Split": experiment.split,
            "Procedure": _procedure(split),
            "Test fold": "the source's own test list"
            if split.official_test
            else f"{split.test:.3g} of the {_UNITS[split.procedure]}",
            "Validation fold": "the test fold once more, which leaks"
            if split.validation == "test"
            else f"{split.validation:.3g} of the remaining {_UNITS[split.procedure]}",
            "Shared by folds": "; ".join(result.shared) or "no patient, image or file",
            "Images trained on": "the training fold" if training.images is None else f"{training.images:,} of it",
            "Images sampled": "all" if split.sample is None else f"{split.sample:,}",
            "Shown an epoch": _balance(split.balance),
            "Split seed": str(split.seed),
        },
        "Test fold as measured": {
            "Images": f"{scores.images:,}",
            "Patients": f"{scores.patients:,}",
            "Positive, or with a finding": f"{scores.prevalence:.1%}",
            "Majority classifier": f"{scores.majority_accuracy:.3f} accuracy",
        },
        "Model": _model(model, _weights(result.resolved.weights)),
        "Warm start": _phase(experiment.warm_start),
        "Fine-tuning": _phase(experiment.fine_tune),
        "Training": {
            "Images and frozen layers": _choice(experiment.choice),
            "Batch size": str(training.batch_size),
            "Class weights": "the rarer a class, the heavier" if training.class_weight == "balanced" else "none",
            "Augmentation": _augmentation(experiment.augmentation),
            "Precision": training.precision,
            "Threads": str(training.threads),
            "Kind of machine": _machine(result.machine),
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


def _question(labels: Labels, classes: int) -> str:
    match labels:
        case BinaryLabels(positive=positive, negative=negative):
            return f"{positive} against {'everything else' if negative == 'rest' else negative}"
        case SingleLabels(several=several):
            ruled = "the first listed counts" if several == "first" else "the image is left out"
            return f"which one of {classes} classes; of several findings {ruled}"
        case MultiLabels():
            return f"each of {classes} classes: present or not"


#: What falls to folds, by procedure.
_UNITS = {"by_patient": "patients", "by_image": "images", "rows_with_replacement": "rows"}


def _procedure(split: Split) -> str:
    match split.procedure:
        case "by_patient":
            return "by patient: nobody is in two folds"
        case "by_image":
            return "by image, which leaks: images of one patient fall to several folds"
        case "rows_with_replacement":
            return (
                f"rows with replacement, which leaks: {split.rows_a_class:,} rows of each class are drawn, "
                "so that one image falls to several folds"
            )


def _model(model: Model, weights: str) -> dict[str, str]:
    return {
        "Backbone": model.backbone,
        "ImageNet's 1000-way layer": "kept" if model.top else "left out",
        "Initial weights": weights,
        "Momentum of batch normalisation": "the architecture's"
        if model.momentum is None
        else f"{model.momentum:g}",
        "Pixels": _pixels(model.normalise, model.preprocess),
        "Batch normalisation in the head": "yes" if model.batch_normalisation else "no",
        "Dense layers": ", ".join(map(str, model.dense)) or "none",
        "Dropout": f"{model.dropout:g}",
        "Output weights": f"uniform on {PLUS_MINUS}0.05"
        if model.output_weights == "random_uniform"
        else "Glorot uniform",
    }


def _machine(machine: dict[str, Any]) -> str:
    """What tells kinds of machine apart, in words."""
    named = [str(machine.get(name)) for name in ("vendor", "vector_extensions", "caches") if machine.get(name)]
    gpu = machine.get("gpu")
    onednn = "with" if machine.get("onednn") else "without"
    named = [gpu] if gpu not in (None, "none") else [*named, f"{onednn} oneDNN"]
    return "; ".join([*named, str(machine.get("backend"))])


def _balance(balance: int | str) -> str:
    match balance:
        case "none":
            return "every image once"
        case "largest" | "smallest":
            return f"as many of each class as the {balance} has"
        case _:
            return f"{balance:,} images of each class"


def _choice(choice: Choice) -> str:
    if choice.file == NO_CHOICE:
        return "the recipe's own"
    return f"choice {choice.rank} of the grid {choice.file.stem}"


def _weights(weights: Weights) -> str:
    match weights:
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
    values = (
        _epochs(phase),
        "all batches" if phase.steps_per_epoch is None else f"{phase.steps_per_epoch:,}",
        _optimizer(phase.optimizer),
        f"{phase.optimizer.learning_rate:g}",
        _frozen(phase.freeze),
        _words(phase.loss),
    )
    return dict(zip(_PHASE, values, strict=True))


_PHASE = ("Epochs", "Steps an epoch", "Optimiser", "Learning rate", "Frozen", "Loss")


def _epochs(phase: Phase) -> str:
    stopping = phase.early_stopping
    if stopping is None:
        return str(phase.epochs)
    below = "" if stopping.below is None else f", or until the validation loss is below {stopping.below:g}"
    return f"{phase.epochs} at most, patience {stopping.patience}{below}"


def _frozen(freeze: Freeze) -> str:
    match freeze:
        case FirstLayers(first=first):
            return f"first {first} layers"
        case AllButLastLayers(all_but_last=0):
            return "the whole backbone"
        case AllButLastLayers(all_but_last=last):
            return f"all but the last {last} layers with parameters"
        case "everything":
            return "the whole backbone"
        case _:
            return _words(freeze)


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
        _words(name)
        if value is True
        else f"{_words(name)} {'up to ' if name == 'edges' else PLUS_MINUS}{value:g}{units.get(name, '')}"
        for name, value in augmentation
        if value
    ]
    return ", ".join(drawn) or "none"


def _words(name: str) -> str:
    return name.replace("_", " ")
