"""`params.yaml` as a whole: parsed once, every name in it checked, before any work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import pydantic
import yaml
from pydantic import Field, model_validator

from glassbox import layout
from glassbox.errors import ParamsError
from glassbox.params.base import Frozen, Key
from glassbox.params.data import Dataset, Split
from glassbox.params.experiments import AllButLastLayers, Experiment, Phase
from glassbox.params.grids import NO_CHOICE, Grid, Row
from glassbox.params.sources import AnySource
from glassbox.params.weights import NoWeights, Weights

if TYPE_CHECKING:
    from pathlib import Path

PhaseName = Literal["warm_start", "fine_tune"]
PHASES: tuple[PhaseName, ...] = ("warm_start", "fine_tune")


class Params(Frozen):
    """All of `params.yaml`."""

    profile: Key
    sources: dict[Key, AnySource]
    datasets: dict[Key, Dataset]
    splits: dict[Key, Split]
    weights: dict[Key, Weights]
    experiments: dict[Key, Experiment]
    grids: dict[Key, Grid] = Field(default={})
    rows: dict[Key, Row] = Field(default={})

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
            if key in layout.METRICS_OF_DATA:
                raise ValueError(f"experiments.{key}: the name is taken by a folder of metrics/")
            source = self.datasets[experiment.dataset].source
            _one_source(f"experiments.{key}", experiment.dataset, source, self.splits[experiment.split].source)
            _fitting_weights(key, experiment, self.weights[experiment.weights])
            _fitting_loss(key, experiment, self.splits[experiment.split])
            _known_choice(key, experiment, self.grids)
        return self

    @model_validator(mode="after")
    def _grids_are_whole(self) -> Self:
        for key, row in self.rows.items():
            _exists(f"rows.{key}.grid", row.grid, self.grids)
        for key, grid in self.grids.items():
            _exists(f"grids.{key}.experiment", grid.experiment, self.experiments)
            experiment = self.experiments[grid.experiment]
            _trained_weights(key, experiment, self.weights[experiment.weights])
            rows = {name: row for name, row in self.rows.items() if row.grid == key}
            for name, row in rows.items():
                _same(f"rows.{name}.experiment", row.experiment, grid.experiment, f"grids.{key}")
                for field in ("dataset", "split", "weights"):
                    found, wanted = getattr(row, field), getattr(experiment, field)
                    _same(f"rows.{name}.{field}", found, wanted, f"experiments.{grid.experiment}")
            _fitting_rows(key, grid, list(rows.values()))
        return self

    def with_cell(self, experiment: str, images: int, all_but_last: int) -> Params:
        """These parameters, but for one cell of a grid: an experiment's images and the layers it freezes."""
        settings = self.experiments[experiment]
        changed = settings.model_copy(
            update={
                "training": settings.training.model_copy(update={"images": images}),
                "fine_tune": settings.fine_tune.model_copy(
                    update={"freeze": AllButLastLayers(all_but_last=all_but_last)}
                ),
            }
        )
        return self.model_copy(update={"experiments": {**self.experiments, experiment: changed}})

    def phase(self, experiment: str, name: PhaseName) -> Phase:
        """A phase as it runs: from random weights a frozen backbone would teach its head nothing, so none is."""
        phase: Phase = getattr(self.experiments[experiment], name)
        return phase.model_copy(update={"freeze": "nothing"}) if self._thawed(experiment, name) else phase

    def departures(self, experiment: str) -> list[str]:
        """Where an experiment as it runs differs from its source, one sentence each."""
        thawed = [name.replace("_", "-") for name in PHASES if self._thawed(experiment, name)]
        return [
            *self.experiments[experiment].departures,
            *(
                f"Weights are random, so nothing is frozen in the {name}: a frozen random backbone learns nothing."
                for name in thawed
            ),
        ]

    def _thawed(self, experiment: str, name: PhaseName) -> bool:
        settings = self.experiments[experiment]
        phase: Phase = getattr(settings, name)
        random = isinstance(self.weights[settings.weights], NoWeights)
        return random and phase.epochs > 0 and phase.freeze != "nothing"


def _exists(place: str, name: str, among: dict[str, Any]) -> None:
    if name not in among:
        raise ValueError(f"{place} names {name!r}; there are: {', '.join(sorted(among)) or 'none'}")


def _fitting_weights(key: str, experiment: Experiment, weights: Weights) -> None:
    if isinstance(weights, NoWeights):
        return
    model = experiment.model
    for name, found, wanted in (
        ("backbone", weights.backbone, model.backbone),
        ("top", weights.top, model.top),
    ):
        if found != wanted:
            raise ValueError(
                f"experiments.{key}: weights {experiment.weights!r} have {name}: {_said(found)}, "
                f"its model has {name}: {_said(wanted)}"
            )


def _said(value: bool | str) -> str:  # noqa: FBT001 (as YAML writes it)
    return str(value).lower()


def _fitting_loss(key: str, experiment: Experiment, split: Split) -> None:
    """A softmax over two classes may be asked for either loss; of more outputs each activation has its own."""
    fitting = {"single_label": "categorical_crossentropy", "multi_label": "binary_crossentropy"}
    wanted = fitting.get(split.labels.task)
    for name in PHASES:
        phase: Phase = getattr(experiment, name)
        if wanted is not None and phase.loss != wanted:
            raise ValueError(
                f"experiments.{key}.{name}.loss is {phase.loss}; split {experiment.split!r} asks for "
                f"{split.labels.task}, whose head needs {wanted}"
            )
    if split.labels.task == "multi_label" and experiment.training.class_weight != "none":
        raise ValueError(
            f"experiments.{key}.training.class_weight weighs an image by its one class; split "
            f"{experiment.split!r} asks for multi_label"
        )


def _known_choice(key: str, experiment: Experiment, grids: dict[str, Grid]) -> None:
    file, rank = experiment.choice.file, experiment.choice.rank
    written = {layout.choices(grid).as_posix(): grid for grid in grids}
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


def _fitting_rows(key: str, grid: Grid, rows: list[Row]) -> None:
    images = [row.images for row in rows]
    if len(set(images)) < len(images):
        raise ValueError(f"grids.{key}: two of its rows have one number of images; join them")
    if (cells := sum(len(row.all_but_last) for row in rows)) < grid.choices:
        raise ValueError(f"grids.{key}.choices is {grid.choices}; its rows have {cells} cells")


def _same(place: str, found: str, wanted: str, other: str) -> None:
    if found != wanted:
        raise ValueError(f"{place} is {found!r}; {other} has {wanted!r}")


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
            "parameters as src/glassbox/params/ describes them",
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
