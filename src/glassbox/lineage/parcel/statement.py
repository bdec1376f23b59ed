"""What is signed: an in-toto statement whose predicate is the model's SLSA provenance, both in version 1."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from glassbox.lineage.parcel.bom import purl
from glassbox.lineage.parcel.verify import (
    ARCHIVE,
    FOLD,
    HISTORY,
    LINEAGE,
    MODEL,
    PREDICATE_TYPE,
    ROOT,
    ROOT_ALGORITHM,
    STATEMENT_TYPE,
    WEIGHTS,
)
from glassbox.lineage.record import RANDOM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from glassbox.lineage.record import File, Output, Record

#: What was done: a training by `dvc repro`, its parameters those of params.yaml.
BUILD_TYPE = "urn:glassbox:training:v1"
BUILDER = "urn:glassbox:dvc-repro"
#: Name of the commit among what a model was made from.
REVISION = "revision"
#: Stages whose outputs are made of the model, not the model of them.
_AFTER = ("predict", "evaluate", "explain", "compare")


def statement(record: Record, documents: Mapping[str, str], root: str) -> dict[str, Any]:
    """The statement of a parcel.

    Args:
        record: Of the model.
        documents: Name of each other document of the parcel -> its SHA-256.
        root: Of the tree over the patients, in hexadecimal.
    """
    files = {MODEL: record.model, HISTORY: record.history, LINEAGE: record.lineage}
    stages = {output.path: output.stage for output in record.outputs}
    made = {file.path for file in files.values()}
    others = [output for output in record.outputs if output.path not in made]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            *(_file(name, file, stages.get(file.path)) for name, file in files.items()),
            {"name": ROOT, "digest": {ROOT_ALGORITHM: root}},
            *({"name": name, "digest": {"sha256": digest}} for name, digest in documents.items()),
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": record.params,
                "internalParameters": _internal(record),
                "resolvedDependencies": [
                    *_origins(record),
                    *_seen(record),
                    *(_output(output) for output in others if not _is_after(output)),
                    *({"name": name, "uri": purl(name, of)} for name, of in sorted(record.packages.items())),
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"glassbox": version("glassbox")}},
                "metadata": {"invocationId": record.fingerprint},
                "byproducts": [_output(output) for output in others if _is_after(output)],
            },
        },
    }


def _internal(record: Record) -> dict[str, Any]:
    """What no user sets: what the parameters led to, and on which machine."""
    told = ("experiment", "title", "fingerprint", "recipe", "code", "machine", "folds", "leaks")
    return {
        **record.model_dump(mode="json", include={*told, "rejected", "withdrawn"}),
        "patients": int(record.images["patient_id"].nunique()),
    }


def _origins(record: Record) -> list[dict[str, Any]]:
    """The revision, the locked packages, the archives and the initial weights."""
    found = []
    if record.revision:
        found.append({"name": REVISION, "digest": {"gitCommit": record.revision}})
    if record.uv_lock:
        found.append(_file(record.uv_lock.path, record.uv_lock))
    for archive in record.archives:
        facts = archive.model_dump(mode="json", exclude={"source", "sha256"}, exclude_none=True)
        digest = {"sha256": archive.sha256}
        found.append({"name": f"{ARCHIVE}{archive.source}", "digest": digest, "annotations": facts})
    if record.weights.sha256 != RANDOM:
        name, digest = f"{WEIGHTS}{record.weights.name}", {"sha256": record.weights.sha256}
        found.append({"name": name, "digest": digest, "annotations": {"kind": record.weights.kind}})
    return found


def _seen(record: Record) -> list[dict[str, Any]]:
    """What the training read, as lineage.json has it: folds, their statistics, initial weights and model."""
    folds = {fold.fold for fold in record.folds}
    names = {key: key.removesuffix("_sha256") for key in sorted(record.data)}
    return [
        {"name": f"{FOLD}{name}" if name in folds else name, "digest": {"sha256": record.data[key]}}
        for key, name in names.items()
        if record.data[key] != RANDOM
    ]


def _file(name: str, file: File, stage: str | None = None) -> dict[str, Any]:
    made = {"stage": stage} if stage else {}
    return {
        "name": name,
        "digest": {"md5": file.md5, "sha256": file.sha256},
        "annotations": {"path": file.path, "bytes": file.bytes, **made},
    }


def _is_after(output: Output) -> bool:
    return output.stage.partition("@")[0] in _AFTER


def _output(output: Output) -> dict[str, Any]:
    """An output by dvc.lock, whose MD5 of a folder is that of the list of its files."""
    folder = output.md5.endswith(".dir")
    facts = output.model_dump(mode="json", include={"stage", "bytes", "files"}, exclude_none=True)
    digest = {"dvcDirMd5" if folder else "md5": output.md5.removesuffix(".dir")}
    return {"name": output.path, "digest": digest, "annotations": facts}
