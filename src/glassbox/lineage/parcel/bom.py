"""The bill of materials of a model: CycloneDX 1.6, with the model's card, its data and its libraries."""

from __future__ import annotations

import uuid
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from glassbox.lineage.parcel.verify import ARCHIVE, FOLD, PACKAGE, PROPERTY, WEIGHTS
from glassbox.lineage.record import RANDOM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from glassbox.lineage.record import Archive, File, Fold, Record

_MODEL = "model"
_BOUNDS = ("_low", "_high")


def purl(name: str, of: str) -> str:
    """The package URL of a version of a Python package."""
    return f"{PACKAGE}{quote(name, safe='')}@{quote(of, safe='')}"


def bom(record: Record, root: str) -> dict[str, Any]:
    """The bill of materials of a model.

    Args:
        record: Of the model.
        root: Of the tree over the patients, in hexadecimal.
    """
    parts = [
        *(_archive(each) for each in record.archives),
        *(_fold(each, record) for each in record.folds),
        *_weights(record),
        *(
            _library(name, of, record.packages_sha256.get(name, ()))
            for name, of in sorted(record.packages.items())
        ),
    ]
    refs = [part["bom-ref"] for part in parts]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # The root is random, and so this is as new as every parcel.
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:sha256:{root}").urn,
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "glassbox", "version": version("glassbox")}]},
            "component": {
                "type": "machine-learning-model",
                "bom-ref": _MODEL,
                "name": record.experiment,
                "version": record.fingerprint,
                "description": record.title,
                "hashes": _hashes(record.model),
                "modelCard": _card(record),
                "properties": _properties(
                    patients_root=root,
                    patients=record.images["patient_id"].nunique(),
                    fingerprint=record.fingerprint,
                    path=record.model.path,
                    bytes=record.model.bytes,
                    revision=record.revision,
                    history_sha256=record.history.sha256,
                    lineage_sha256=record.lineage.sha256,
                    **{f"machine:{what}": value for what, value in record.machine.items()},
                ),
            },
        },
        "components": parts,
        "dependencies": [{"ref": _MODEL, "dependsOn": refs}, *({"ref": ref} for ref in refs)],
    }


def _card(record: Record) -> dict[str, Any]:
    settings, size = record.recipe["settings"], record.recipe["dataset"]["size"]
    classes = list(dict.fromkeys(name for fold in record.folds for name in fold.classes))
    limits = [f"{leak.folds} share {leak.shared} {leak.what}" for leak in record.leaks if leak.shared]
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": record.recipe["split"]["labels"]["task"],
            "architectureFamily": "convolutional neural network",
            "modelArchitecture": settings["model"]["backbone"],
            "datasets": [
                *({"ref": f"{ARCHIVE}{each.source}"} for each in record.archives),
                *({"ref": f"{FOLD}{each.fold}"} for each in record.folds),
            ],
            "inputs": [{"format": f"grey images, uint8 (N, {size}, {size})"}],
            "outputs": [{"format": f"probabilities, float32 (N, {len(classes)}): {', '.join(classes)}"}],
        },
    }
    if metrics := list(_metrics(record.scores)):
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if limits := [*limits, *filter(None, settings["departures"].values())]:
        card["considerations"] = {"technicalLimitations": limits}
    return card


def _metrics(scores: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every score of every variant and class; those with bounds have them as their interval."""
    for variant, measured in scores.items():
        classes = {f"{variant}, {name}": of for name, of in measured.get("classes", {}).items()}
        overall = {name: value for name, value in measured.items() if name != "classes"}
        for part, numbers in {variant: overall, **classes}.items():
            for name, value in numbers.items():
                if name.endswith(_BOUNDS) and name.rpartition("_")[0] in numbers:
                    continue
                metric = {"type": name, "value": str(value), "slice": part}
                low, high = (numbers.get(f"{name}{bound}") for bound in _BOUNDS)
                if low is not None and high is not None:
                    metric["confidenceInterval"] = {"lowerBound": str(low), "upperBound": str(high)}
                yield metric


def _archive(of: Archive) -> dict[str, Any]:
    facts = of.model_dump(mode="json", exclude={"source", "sha256", "licence"})
    part = _data(
        f"{ARCHIVE}{of.source}", f"{of.source}.zip", "The films and tables that everything is made from.", facts
    )
    part["hashes"] = [{"alg": "SHA-256", "content": of.sha256}]
    if of.version is not None:
        part["version"] = str(of.version)
    if of.licence:
        part["licenses"] = [{"license": {"name": of.licence}}]
    return part


def _fold(of: Fold, record: Record) -> dict[str, Any]:
    facts = {
        **of.model_dump(mode="json", exclude={"classes"}),
        **{f"images of {name}": images for name, images in of.classes.items()},
    }
    use = {"train": "trained on", "validation": "watched while it was trained", "test": "tested on"}
    told = f"The images that the model was {use.get(of.fold, of.fold)}."
    part = _data(f"{FOLD}{of.fold}", of.fold, told, facts)
    if digest := record.data.get(f"{of.fold}_sha256"):
        part["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return part


def _data(ref: str, name: str, description: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A component of data about people."""
    told = {
        "type": "dataset",
        "name": name,
        "description": description,
        "sensitiveData": ["Chest films of patients; none of them is named here."],
    }
    return {"type": "data", "bom-ref": ref, "name": name, "data": [told], "properties": _properties(**facts)}


def _weights(record: Record) -> Iterator[dict[str, Any]]:
    of = record.weights
    if of.sha256 != RANDOM:
        yield {
            "type": "file",
            "bom-ref": f"{WEIGHTS}{of.name}",
            "name": of.name,
            "description": f"Initial weights ({of.kind}).",
            "hashes": [{"alg": "SHA-256", "content": of.sha256}],
        }


def _library(name: str, of: str, sha256: Sequence[str]) -> dict[str, Any]:
    """A package. It is installed from one of several files, according to the system: of all the hash is there."""
    found = purl(name, of)
    part: dict[str, Any] = {"type": "library", "bom-ref": found, "name": name, "version": of, "purl": found}
    if sha256:
        part["hashes"] = [{"alg": "SHA-256", "content": each} for each in sha256]
        part["properties"] = _properties(hashes="of the files that uv.lock allows; one of them was installed")
    return part


def _hashes(file: File) -> list[dict[str, str]]:
    return [{"alg": "MD5", "content": file.md5}, {"alg": "SHA-256", "content": file.sha256}]


def _properties(**facts: object) -> list[dict[str, str]]:
    return [{"name": f"{PROPERTY}{name}", "value": str(of)} for name, of in facts.items() if of is not None]
