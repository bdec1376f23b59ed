"""What the artifacts behind a model say of each other, beside the MD5 by which DVC knows each.

All functions read the artifacts of the current folder, a `view`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from glassbox import recipes
from glassbox.artifacts import (
    archive,
    catalog,
    code,
    document,
    evaluation,
    leaks,
    members,
    model,
    predictions,
    shards,
    split,
    weights,
)
from glassbox.artifacts.damage import ArtifactError
from glassbox.artifacts.recipe import phase, read
from glassbox.artifacts.split import FOLDS
from glassbox.code.digests import digests
from glassbox.files import sha256_file
from glassbox.lineage.link import Checks, Link
from glassbox.params.document import shared_patients
from glassbox.params.experiments import VARIANTS
from glassbox.splits import summary
from glassbox.tracking import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from glassbox.artifacts.experiment import Resolved
    from glassbox.params.experiments import PhaseName
    from glassbox.tracking.metrics import Point


class Seen(NamedTuple):
    """What a model saw, and where it came from."""

    #: `image_id, patient_id, label_*, fold, draws, source_sha256, pixels_sha256, shard, row, member`.
    images: pd.DataFrame
    #: The record of the archive.
    archive: dict[str, Any]


def code_links() -> list[Link]:
    """Whether data/code/ is what the code and uv.lock give."""
    checks = Checks("code", "run `dvc repro code`")
    found: dict[str, Any] = {}
    with checks.refusals():
        found = digests(Path.cwd())
        for name, wanted in found.items():
            held = code.read(name)
            for module in sorted(held.modules.keys() | wanted.modules.keys()):
                place = f"{code.path(name)}, {module}"
                checks.same(place, held.modules.get(module), wanted.modules.get(module))
            for package in sorted(held.packages.keys() | wanted.packages.keys()):
                place = f"{code.path(name)}, {package}"
                checks.same(place, held.packages.get(package), wanted.packages.get(package))
    modules = {module for one in found.values() for module in one.modules}
    return checks.links(f"{len(modules)} files, digested again; versions as in uv.lock")


def recipe_links(experiment: str) -> list[Link]:
    """Whether an experiment's recipe is what params.yaml, and a grid's choice, give."""
    checks = Checks(f"recipe of {experiment}", f"run `dvc repro recipe@{experiment}`")
    with checks.refusals():
        for consumer, wanted in recipes.resolve(experiment).items():
            held = read(experiment, consumer, type(wanted)).model_dump(mode="json")
            for key, value in wanted.model_dump(mode="json").items():
                checks.same(f"{consumer}.json, {key}", held[key], value)
    return checks.links("resolved again from params.yaml")


def training_links(
    experiment: str, phases: Iterable[PhaseName], *, is_committed: bool
) -> tuple[list[Link], model.Lineage | None]:
    """Whether models, histories and their records are of each other, and of recipe, data and code.

    Args:
        experiment: Its key.
        phases: Those that lead to the model.
        is_committed: Whether a commit holds them. MLflow knows of the last one only on which machine it ran.

    Returns:
        The verdicts, and the record of the last phase, or None where it cannot be read.
    """
    found: list[Link] = []
    before: model.Lineage | None = None
    points: dict[Point, float] = {}
    for name in phases:
        checks = Checks(f"{name} of {experiment}", f"run `dvc repro {name}@{experiment}`")
        lineage = None
        with checks.refusals():
            lineage = _of(experiment, name)
            model.verified(lineage, name)
            _compare(checks, lineage, name, before)
            if before is not None and not is_committed:
                checks.same(f"{model.files(experiment).lineage}, machine", lineage.machine, before.machine)
            earlier, points = points, metrics.curve_points(model.read_history(lineage, name))
            kept = {point: value for point, value in points.items() if point in earlier}
            place = model.files(experiment, name).history
            checks.same(f"{place}, other epochs than before", metrics.differing(kept, earlier), [])
        said = f"model {lineage.model_sha256}, fingerprint {lineage.fingerprint}" if lineage else ""
        found += checks.links(said)
        before = lineage
    return found, before


def _of(experiment: str, name: PhaseName) -> model.Lineage:
    """The record of a phase, which has to be of the experiment in whose folder it lies."""
    lineage = model.read_lineage(experiment, name)
    if lineage.experiment != experiment:
        place = model.files(experiment, name).lineage
        raise ArtifactError(
            place, f"is of experiment {lineage.experiment}, not of {experiment}", f"{name}@{experiment}"
        )
    return lineage


def _compare(checks: Checks, lineage: model.Lineage, name: PhaseName, before: model.Lineage | None) -> None:
    """Compares a record with what it is said to be made from."""
    experiment = lineage.experiment
    recipe, reached = phase(experiment, name), code.read(name)
    params, data = model.settings(recipe, name), model.seen(recipe)
    digested: dict[str, str] = {name: reached.sha256}
    if before is not None:
        params, data = {**before.params, **params}, data | {"warm_start_sha256": before.model_sha256}
        digested = before.code | digested
    place = model.files(experiment, name).lineage
    checks.same(f"{place}, params", lineage.params, params)
    checks.same(f"{place}, data", lineage.data, data)
    checks.same(f"{place}, code", lineage.code, digested)
    for package, version in reached.packages.items():
        checks.same(f"{place}, {package}", lineage.packages.get(package), version)
    made = lineage.model_dump(mode="json", exclude={"fingerprint", "model_sha256", "history_sha256"})
    checks.same(f"{place}, fingerprint", lineage.fingerprint, model.made_from(made)["fingerprint"])


def weight_links(whole: Resolved) -> list[Link]:
    """Whether the initial weights are those of their record, and of films of other people than the source's.

    Parameters under which the two share people are refused now; earlier ones were not.
    """
    key = whole.settings.weights
    checks = Checks(f"weights {key}", f"run `dvc repro weights@{key}`")
    sha256 = ""
    with checks.refusals():
        sha256 = weights.read(key).sha256
        shared = shared_patients(whole.weights, whole.source)
        checks.same(f"generated patients of source {whole.split.source} in the pretraining", list(shared), [])
    said = "random" if sha256 == "none" else f"sha256 {sha256}"
    if whole.weights.kind == "pretraining":
        said += "; pretrained on generated films of nobody in the source"
    return checks.links(said)


def data_links(
    whole: Resolved, sha256: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> tuple[list[Link], Seen | None]:
    """Whether every image that an experiment's folds name is in index, catalog, archive and shards as they say.

    Args:
        whole: The experiment.
        sha256: Path of an output -> file in it -> what was found there, as `outputs.Output.sha256`.
    """
    name, dataset, source = whole.settings.split, whole.split.dataset, whole.split.source
    checks = Checks(f"images of split {name}", f"run `dvc repro split@{name}`")
    seen, count = None, 0
    with checks.refusals():
        folds = pd.concat([split.read(name, fold).assign(fold=fold) for fold in FOLDS], ignore_index=True)
        index, made_of = shards.read_index(dataset)
        there, archive_sha256 = members.read_digests(source)
        record = document.read(archive.record_path(source), f"download@{source}")
        rows, _ = catalog.read(source, ["image_id", "patient_id", "member"])
        checks.same("index.parquet, catalog_sha256", made_of["catalog_sha256"], sha256_file(catalog.path(source)))
        checks.same("index.parquet, code", made_of["code"], code.read("pixels").sha256)
        checks.same(f"{archive.record_path(source)}, sha256", record["sha256"], archive_sha256)
        checks.same(
            f"{archive.record_path(source)}, members_sha256", record["members_sha256"], members.contents(there)
        )
        zipped = archive.path(source).as_posix()
        for (found,) in sha256.get(zipped, {}).values():  # none where it is missing, which a link says
            checks.same(f"{zipped}, sha256", found, archive_sha256)
        listed = rows.merge(pd.DataFrame(there, columns=["member", "sha256"]), on="member", how="left")
        of_catalog = members.contents(zip(listed["member"], listed["sha256"].fillna(""), strict=True))
        checks.same(
            "index.parquet, images_sha256",
            made_of.get("images_sha256", "none, as an earlier version wrote it"),
            of_catalog,
        )
        images = _joined(folds, index.to_pandas(), listed)
        _compare_images(checks, images, sha256.get(shards.folder(dataset).as_posix(), {}))
        shared = summary.leaks(folds)
        checks.same(f"{leaks.folder(name)}/leakage.json", leaks.read(name), shared)
        seen, count = Seen(images, record), len(images)
    return checks.links(f"{count:,} rows, each in index, catalog, archive and shards"), seen


def _joined(folds: pd.DataFrame, index: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """The rows of all folds, each with what index, catalog and archive say of its image, null where nothing."""
    stored = index[["image_id", "shard", "row", "source_sha256", "pixels_sha256"]]
    return folds.merge(stored, on="image_id", how="left", suffixes=("", "_stored"), validate="many_to_one").merge(
        listed, on="image_id", how="left", suffixes=("", "_listed"), validate="many_to_one"
    )


def _compare_images(checks: Checks, images: pd.DataFrame, pixels: Mapping[str, tuple[str, ...]]) -> None:
    """Notes the first image of each kind of difference; `pixels` holds the SHA-256 of each shard's rows."""
    places = zip(images["shard"], images["row"].fillna(-1).astype(int), strict=True)
    stored = pd.Series([_at(pixels.get(shard, ()), row) for shard, row in places], images.index, "str")
    pairs = {
        "the index": ("source_sha256", images["source_sha256_stored"]),
        "the index's pixels": ("pixels_sha256", images["pixels_sha256_stored"]),
        "the archive's members": ("source_sha256", images["sha256"]),
        "the shards": ("pixels_sha256", stored),
        "the catalog": ("patient_id", images["patient_id_listed"]),
    }
    for where, (column, other) in pairs.items():
        differs = ~(images[column] == other).to_numpy(bool)
        if differs.any():
            at = int(differs.argmax())
            row = images.iloc[at]
            what = f"{row['image_id']} ({row['fold']}), {column} by {where}"
            checks.same(f"{int(differs.sum()):,} images, the first {what}", other.iloc[at], row[column])


def _at(digests: tuple[str, ...], row: int) -> str | None:
    return digests[row] if 0 <= row < len(digests) else None


def score_links(experiment: str, model_sha256: str) -> list[Link]:
    """Whether what was measured, and the predictions that it was measured of, are of a model."""
    checks = Checks(f"scores of {experiment}", f"run `dvc repro evaluate@{experiment}`")
    with checks.refusals():
        checks.same("model", evaluation.verified(experiment).model_sha256, model_sha256)
        for variant in VARIANTS:
            predictions.read(experiment, variant, model_sha256)
    return checks.links("of this model, and of its predictions")
