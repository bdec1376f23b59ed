"""Two of every file that passes between stages, `one` and `two`, by the writers that stages use."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, NamedTuple

import builders
import h5py
import numpy as np
import pandas as pd

from glassbox.artifacts import (
    archive,
    catalog,
    cells,
    code,
    evaluation,
    experiment,
    history,
    leaks,
    members,
    model,
    predictions,
    recipe,
    shards,
    split,
    weights,
)
from glassbox.artifacts.cells import Cell
from glassbox.artifacts.code import Code
from glassbox.artifacts.leaks import Leak
from glassbox.artifacts.members import Member
from glassbox.artifacts.recipe import EvaluateRecipe, PredictRecipe
from glassbox.files import fingerprint, sha256_file
from glassbox.params.experiments import PHASES, VARIANTS
from glassbox.phantoms.png import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEYS = ("one", "two")
FIGURES = ("roc.png", "confusion.png", "curves.png")
_IMAGES, _PER_SHARD, _SIZE = 12, 5, 8


class Artifact(NamedTuple):
    """A file that a stage writes and another one reads.

    Attributes:
        path: The file.
        stage: The stage that makes it, as `dvc repro` takes it.
        read: Reads it as stages do; what it gives has a `repr` that says all of it.
        record: Where another file says what this one is, that file and the SHA-256 by which it does.
    """

    path: Path
    stage: str
    read: Callable[[], object]
    record: tuple[Path, str] | None = None


def write() -> list[Artifact]:
    """Writes them into the current folder; everything of one kind has other content than its twin."""
    settings = {key: builders.experiment(title=key) for key in KEYS}
    builders.resolve(builders.document(experiments=settings))
    weights.write("none", None)
    nothing = Artifact(weights.folder("none") / "weights.json", "weights@none", lambda: weights.read("none"))
    return [nothing, *(artifact for number, key in enumerate(KEYS) for artifact in _all(key, number))]


def _all(key: str, number: int) -> Iterator[Artifact]:
    generator = np.random.default_rng(number)
    yield from _source(key, number)
    pixels = generator.integers(0, 256, (_IMAGES, _SIZE, _SIZE), np.uint8)
    yield from _dataset(key, pixels)
    yield from _split(key, number, pixels)
    yield from _weights(key, generator)
    yield from _recipe(key)
    yield from _code(key, number)
    yield from _grid(key, generator)
    yield from _model(key, number)
    yield from _predictions(key, generator)
    yield from _evaluation(key, generator)


def _ids(key: str) -> list[str]:
    return [f"{key}_{image:03d}.png" for image in range(_IMAGES)]


def _source(key: str, number: int) -> Iterator[Artifact]:
    listed = [
        Member(f"images/{name}", 90 * at, 60, 80, 17 + at, 8, _sha(name)) for at, name in enumerate(_ids(key))
    ]
    members.write(key, listed, _sha(key))
    yield Artifact(members.path(key), f"download@{key}", lambda: members.read(key))

    archive.path(key).write_bytes(key.encode())
    archive.write(key, archive.describe(archive.path(key), _sha(key), listed, kind="phantom"))

    def recorded() -> object:
        # Without a record the stage verifies the archive as a new one, and a damaged one is none.
        return archive.recorded(key)

    yield Artifact(archive.record_path(key), f"download@{key}", recorded)

    rows = pd.DataFrame(
        {
            "image_id": _ids(key),
            "patient_id": [f"{at // 2:05d}" for at in range(_IMAGES)],
            "member": [member.name for member in listed],
            "findings": [["Mass"] * (at % 2) for at in range(_IMAGES)],
            "age": np.arange(30 + number, 30 + number + _IMAGES, dtype=np.float32),
            "sex": "F",
            "view": "PA",
            "official_split": "train",
            "boxes": [[{"finding": "Mass", "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0}]] * _IMAGES,
        }
    )
    catalog.write(key, rows, catalog.Vocabulary(("Mass",), "No Finding"))

    def read() -> object:
        found, words = catalog.read(key)
        return found.to_dict("list"), words

    yield Artifact(catalog.path(key), f"catalog@{key}", read)


def _dataset(key: str, pixels: np.ndarray) -> Iterator[Artifact]:
    builders.write_shards(key, _ids(key), pixels, _PER_SHARD, rejected=[f"{key}_lost"])
    folder, stage = shards.folder(key), f"resize@{key}"

    def gathered() -> object:
        return shards.Images(key).gather(np.arange(_IMAGES)).tobytes()

    def index() -> object:
        rows, made_of = shards.read_index(key)
        return rows.to_pylist(), made_of

    yield Artifact(folder / "index.parquet", stage, index)
    yield Artifact(folder / "rejected.parquet", stage, lambda: shards.read_rejected(key))
    for first in range(0, _IMAGES, _PER_SHARD):
        record = folder / "index.parquet", shards.digest(pixels[first])
        yield Artifact(folder / f"part-{first // _PER_SHARD:05d}.h5", stage, gathered, record)


def _split(key: str, number: int, pixels: np.ndarray) -> Iterator[Artifact]:
    rows = pd.DataFrame(
        {
            "image_id": _ids(key),
            "patient_id": [f"{at // 2:05d}" for at in range(_IMAGES)],
            "label_No Finding": [at % 2 for at in range(_IMAGES)],
            "label_Mass": [1 - at % 2 for at in range(_IMAGES)],
            "fold": [split.FOLDS[at % 3] for at in range(_IMAGES)],
            "draws": 1,
            "source_sha256": [_sha(name) for name in _ids(key)],
            "pixels_sha256": [shards.digest(image) for image in pixels],
        }
    )
    split.write(key, rows, split.Statistics(_IMAGES // 3, 100.5 + number, 20.25))
    for fold in split.FOLDS:
        yield Artifact(
            split.path(key, fold), f"split@{key}", lambda fold=fold: split.read(key, fold).to_dict("list")
        )
    yield Artifact(split.folder(key) / "statistics.json", f"split@{key}", lambda: split.read_statistics(key))

    leaks.write(key, leaks.folder(key), [Leak(folds="train-test", what="patients", shared=3 + number)])
    yield Artifact(leaks.folder(key) / "leakage.json", f"split@{key}", lambda: leaks.read(key))


def _weights(key: str, generator: np.random.Generator) -> Iterator[Artifact]:
    def save(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("kernel", data=generator.random((3, 3), np.float32), track_times=False)

    weights.write(key, save)
    folder, stage = weights.folder(key), f"weights@{key}"
    file, record = folder / weights.FILE, folder / "weights.json"

    def loaded() -> object:
        return weights.read(key).path.read_bytes()

    yield Artifact(file, stage, loaded, (record, sha256_file(file)))
    yield Artifact(record, stage, lambda: weights.read(key))


def _recipe(key: str) -> Iterator[Artifact]:
    readers = {
        "warm_start": lambda: recipe.phase(key, "warm_start"),
        "fine_tune": lambda: recipe.phase(key, "fine_tune"),
        "predict": lambda: recipe.read(key, "predict", PredictRecipe),
        "evaluate": lambda: recipe.read(key, "evaluate", EvaluateRecipe),
        experiment.CONSUMER: lambda: experiment.resolved(key),
    }
    for consumer, read in readers.items():
        yield Artifact(recipe.folder(key) / f"{consumer}.json", f"recipe@{key}", read)


def _code(key: str, number: int) -> Iterator[Artifact]:
    name = PHASES[number]
    code.write(name, Code({"src/glassbox/files.py": _sha(key)}, {"numpy": "2.4.6"}))
    yield Artifact(code.path(name), "code", lambda: code.read(name))


def _grid(key: str, generator: np.random.Generator) -> Iterator[Artifact]:
    accuracies = generator.random(3).round(6).tolist()
    trained = [
        Cell(images=60, all_but_last=layers, val_accuracy=accuracy, majority_accuracy=0.5)
        for layers, accuracy in enumerate(accuracies)
    ]
    path, stage = cells.grid_path(key), f"grid@{key}"
    cells.write(path, trained, stage)
    yield Artifact(path, stage, lambda: cells.read(path, stage))

    drawn = cells.heat_map_path(key)
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(_picture(generator))
    choice, choose = cells.choice_path(key), f"choose@{key}"
    cells.write(choice, trained[:2], choose, heat_map_sha256=sha256_file(drawn))
    yield Artifact(choice, choose, lambda: cells.read(choice, choose))
    yield Artifact(drawn, choose, lambda: cells.heat_map(key), (choice, sha256_file(drawn)))


def _model(key: str, number: int) -> Iterator[Artifact]:
    model.folder(key).mkdir(parents=True)
    for phase in PHASES:
        at, stage = model.files(key, phase), f"{phase}@{key}"
        with zipfile.ZipFile(at.model, "w") as file:
            file.writestr(zipfile.ZipInfo("model.weights.h5"), stage * 9)
        curves = dict.fromkeys(history.COLUMNS[2:], 0.25 + number)
        history.write([{"epoch": epoch, "phase": phase, **curves} for epoch in range(2)], at.history)
        origin = {
            "experiment": key,
            "params": {phase: {"epochs": 2}},
            "data": {"train_sha256": _sha(key)},
            "code": {phase: _sha(stage)},
            "packages": {"numpy": "2.4.6"},
            "machine": {"threads": 2, "onednn": True},
        }
        lineage = model.write_lineage(key, phase, model.made_from(origin))

        def kept(phase=phase) -> object:
            return model.verified(model.read_lineage(key, phase), phase).read_bytes()

        def trained(phase=phase) -> object:
            return model.read_history(model.read_lineage(key, phase), phase)

        yield Artifact(at.model, stage, kept, (at.lineage, lineage.model_sha256))
        yield Artifact(at.history, stage, trained, (at.lineage, lineage.history_sha256))
        yield Artifact(at.lineage, stage, lambda phase=phase: model.read_lineage(key, phase))


def _predictions(key: str, generator: np.random.Generator) -> Iterator[Artifact]:
    test, lineage = split.shown(key, "test"), model.read_lineage(key)
    said = {variant: generator.random((len(test), 2), np.float32) for variant in VARIANTS}
    predictions.write(key, test, said, lineage.model_sha256)
    for variant in VARIANTS:

        def read(variant=variant) -> object:
            found = predictions.read(key, variant, model.read_lineage(key).model_sha256)
            return [column if isinstance(column, tuple) else column.tolist() for column in found]

        path = predictions.folder(key) / f"{variant}.parquet"
        yield Artifact(path, f"predict@{key}", read, (model.files(key).lineage, lineage.model_sha256))


def _evaluation(key: str, generator: np.random.Generator) -> Iterator[Artifact]:
    folder, record, stage = evaluation.folder(key), evaluation.path(key), f"evaluate@{key}"
    evaluation.write_scores(key, {variant: _scores(generator) for variant in VARIANTS})
    for name in FIGURES:
        (folder / name).write_bytes(_picture(generator))
    evaluation.write_machine(key, {"threads": 2, "onednn": True})
    evaluation.write(key, model.read_lineage(key).model_sha256, [evaluation.SCORES, evaluation.MACHINE, *FIGURES])
    yield Artifact(record, stage, lambda: evaluation.read(key))
    yield Artifact(evaluation.machine_path(key), stage, lambda: evaluation.read_machine(key))
    numbers = folder / evaluation.SCORES
    yield Artifact(numbers, stage, lambda: evaluation.read_scores(key), (record, sha256_file(numbers)))
    for name in FIGURES:
        digest = sha256_file(folder / name)
        yield Artifact(folder / name, stage, lambda name=name: evaluation.content(key, name), (record, digest))


def _scores(generator: np.random.Generator) -> evaluation.VariantScores:
    said = dict.fromkeys(evaluation.VariantScores.model_fields, float(generator.random()))
    of_class = dict.fromkeys(evaluation.ClassScores.model_fields, 0.5) | {"support": 2}
    counts = {"images": 4, "patients": 4, "resamples_redrawn": 0}
    return evaluation.VariantScores.model_validate(said | counts | {"classes": {"Mass": of_class}})


def _picture(generator: np.random.Generator) -> bytes:
    return encode(generator.integers(0, 256, (4, 4), np.uint8))


def _sha(name: str) -> str:
    return fingerprint(name)
