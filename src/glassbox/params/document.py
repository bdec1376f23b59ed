"""`params.yaml` as a whole: parsed once, every name in it checked, before any work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pydantic
import yaml
from pydantic import model_validator

from glassbox.errors import ParamsError
from glassbox.params.base import Frozen, Key
from glassbox.params.data import Dataset, Split
from glassbox.params.experiments import Experiment
from glassbox.params.sources import AnySource
from glassbox.params.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path


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
