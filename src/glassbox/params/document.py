"""`params.yaml` as a whole, every name in it checked before any work starts."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from glassbox.params import cut_archive
from glassbox.params.base import Frozen, Key
from glassbox.params.datasets import Dataset
from glassbox.params.experiments import NO_CHOICE, PHASES, Experiment
from glassbox.params.grids import Grid
from glassbox.params.read import parse, values
from glassbox.params.sources import AnySource
from glassbox.params.splits import Split
from glassbox.params.weights import NoWeights, Weights
from glassbox.params.withdrawn import Withdrawn, refuse_other
from glassbox.paths import DATA, PARAMS

#: Folders of `metrics/` that hold no experiment.
METRICS_OF_DATA = ("sources", "catalogs", "splits", "grids")


class Params(Frozen):
    """All of `params.yaml`."""

    profile: Key
    sources: dict[Key, AnySource]
    withdrawn: dict[Key, Withdrawn] = Field(default={})
    datasets: dict[Key, Dataset]
    splits: dict[Key, Split]
    weights: dict[Key, Weights]
    experiments: dict[Key, Experiment]
    grids: dict[Key, Grid] = Field(default={})

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for key, dataset in self.datasets.items():
            _exists(f"datasets.{key}.source", dataset.source, self.sources)
        for key, split in self.splits.items():
            _exists(f"splits.{key}.dataset", split.dataset, self.datasets)
            _one_source(f"splits.{key}", split.dataset, self.datasets[split.dataset].source, split.source)
        for key, experiment in self.experiments.items():
            _exists(f"experiments.{key}.split", experiment.split, self.splits)
            _exists(f"experiments.{key}.weights", experiment.weights, self.weights)
            if key in METRICS_OF_DATA:
                raise ValueError(f"experiments.{key}: the name is taken by a folder of metrics/")
            _fitting_weights(key, experiment, self.weights[experiment.weights])
            _fitting_loss(key, experiment, self.splits[experiment.split])
            _known_choice(key, experiment, self.grids)
        return self

    @model_validator(mode="after")
    def _grids_are_whole(self) -> Self:
        for key, grid in self.grids.items():
            _exists(f"grids.{key}.experiment", grid.experiment, self.experiments)
            experiment = self.experiments[grid.experiment]
            for field in ("split", "weights"):
                found, wanted = getattr(grid, field), getattr(experiment, field)
                if found != wanted:
                    other = f"experiments.{grid.experiment}"
                    raise ValueError(f"grids.{key}.{field} is {found!r}; {other} has {wanted!r}")
            _trained_weights(key, experiment, self.weights[experiment.weights])
        return self


def _exists(place: str, name: str, among: dict[str, Any]) -> None:
    if name not in among:
        raise ValueError(f"{place} names {name!r}; there are: {', '.join(sorted(among)) or 'none'}")


def _fitting_weights(key: str, experiment: Experiment, weights: Weights) -> None:
    if isinstance(weights, NoWeights):
        return
    for name in ("backbone", "top"):
        found, wanted = (str(getattr(block, name)).lower() for block in (weights, experiment.model))
        if found != wanted:
            raise ValueError(
                f"experiments.{key}: weights {experiment.weights!r} have {name}: {found}, "
                f"its model has {name}: {wanted}"
            )


def _fitting_loss(key: str, experiment: Experiment, split: Split) -> None:
    """A softmax over two classes may be asked for either loss; of more outputs each activation has its own."""
    task, fitting = split.labels.task, {"single_label": "categorical", "multi_label": "binary"}
    for name in PHASES:
        loss = getattr(experiment, name).loss
        if task in fitting and loss != (wanted := f"{fitting[task]}_crossentropy"):
            raise ValueError(
                f"experiments.{key}.{name}.loss is {loss}; split {experiment.split!r} asks for {task}, "
                f"whose head needs {wanted}"
            )
    if task == "multi_label" and experiment.training.class_weight != "none":
        raise ValueError(
            f"experiments.{key}.training.class_weight weighs an image by its one class; split "
            f"{experiment.split!r} asks for multi_label"
        )


def _known_choice(key: str, experiment: Experiment, grids: dict[str, Grid]) -> None:
    file, rank = experiment.choice.file, experiment.choice.rank
    written = {(DATA / "choices" / f"{grid}.json").as_posix(): grid for grid in grids}
    _exists(f"experiments.{key}.choice.file", file.as_posix(), {NO_CHOICE.as_posix(): None, **written})
    if file != NO_CHOICE and rank > grids[file.stem].choices:
        raise ValueError(
            f"experiments.{key}.choice.rank is {rank}; grids.{file.stem}.choices is {grids[file.stem].choices}"
        )


def _trained_weights(key: str, experiment: Experiment, weights: Weights) -> None:
    if not isinstance(weights, NoWeights):
        return
    raise ValueError(
        f"grids.{key}: weights {experiment.weights!r} of its experiment are random, and a frozen random backbone "
        "learns nothing; name weights of kind pretraining, file or imagenet"
    )


def _one_source(place: str, dataset: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise ValueError(f"{place}: dataset {dataset!r} is of source {found!r}, the split of {wanted!r}")


def load() -> Params:
    """All of params.yaml, refused as `values`, `checked`, `withdrawn.refuse_other` and `cut_archive.refuse` do."""
    params = checked(values(), str(PARAMS))
    refuse_other(params.withdrawn, params.sources)
    for source, settings in params.sources.items():
        cut_archive.refuse(source, settings, params.withdrawn[source])
    return params


def checked(found: Any, place: str) -> Params:
    """Composed parameters as a whole; `place` names them in messages.

    Raises:
        ParamsError: A value is wrong, or a name is of nothing; every wrong place is named.
    """
    params: Params = parse(found, Params, place)
    return params
