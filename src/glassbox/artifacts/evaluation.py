"""What was measured of an experiment, in git; and the record that tells these files from any others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import document
from glassbox.artifacts.damage import bytes_of
from glassbox.files import sha256_file
from glassbox.paths import DATA, METRICS

if TYPE_CHECKING:
    from pathlib import Path


class Evaluation(NamedTuple):
    """What belongs together.

    Attributes:
        model_sha256: Of the model that was measured.
        files: Name of each file in `folder` -> its SHA-256.
    """

    model_sha256: str
    files: dict[str, str]


def folder(experiment: str) -> Path:
    """Where the measured files lie."""
    return METRICS / experiment


def path(experiment: str) -> Path:
    """Where their record lies."""
    return DATA / "evaluations" / f"{experiment}.json"


def write(experiment: str, model_sha256: str, names: list[str]) -> None:
    """Writes the record of files that lie there already."""
    hashes = {name: sha256_file(folder(experiment) / name) for name in sorted(names)}
    document.write(path(experiment), {"model_sha256": model_sha256, "files": hashes}, _stage(experiment))


def read(experiment: str) -> Evaluation:
    """The record of an experiment.

    Raises:
        ArtifactError: It is missing or damaged.
    """
    found = document.read(path(experiment), _stage(experiment))
    return Evaluation(str(found.get("model_sha256")), dict(found.get("files", {})))


def content(experiment: str, name: str) -> bytes:
    """The bytes of a measured file, once they are those of the record.

    Raises:
        ArtifactError: The file or the record is missing, or damaged.
    """
    return bytes_of(folder(experiment) / name, read(experiment).files.get(name), _stage(experiment))


def _stage(experiment: str) -> str:
    return f"evaluate@{experiment}"
