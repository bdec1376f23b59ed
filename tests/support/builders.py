"""What tests build a project from: parameters, shards, recipes and code files, by the writers that stages use."""

from __future__ import annotations

import h5py
import numpy as np
import pyarrow as pa
import yaml

from glassbox import recipes
from glassbox.artifacts import code, shards
from glassbox.artifacts.code import Code
from glassbox.params.document import checked
from glassbox.paths import PARAMS

#: What a training looks up the code of.
STAGES = ("warm_start", "fine_tune", "cell", "pixels")


def phase(**changes):
    """The block of a phase of one epoch; the optimiser's own are given as `optimizer`."""
    optimizer = {"name": "adam", "learning_rate": 0.003} | changes.pop("optimizer", {})
    block = {"epochs": 1, "freeze": "nothing", "loss": "categorical_crossentropy", "optimizer": optimizer}
    return block | changes


def experiment(**changes):
    """The block of an experiment with a compact network."""
    return {
        "title": "A compact network",
        "split": "squares",
        "weights": "none",
        "model": {"backbone": "compact", "normalise": "standardise", "dropout": 0.2},
        "augmentation": {"horizontal_flip": True, "shift": 0.1, "rotation": 20.0, "zoom": 0.2},
        "training": {"seed": 4, "batch_size": 16},
        "warm_start": phase(freeze="everything"),
        "fine_tune": phase(epochs=2),
        "evaluation": {"resamples": 100, "seed": 5},
        "published": {"source": "nobody", "scores": {}},
    } | changes


def document(patients=50, size=32, labels=None, split=None, **sections):
    """The values of a params.yaml: one source `films`, one dataset `films_32`, one split `squares`.

    Args:
        patients: Of the source.
        size: Width and height of a film, before and after it is scaled.
        labels: The split's question.
        split: What else differs in the split.
        sections: `experiments`, `weights`, `grids`, by name.
    """
    cut = {"official_test": False, "test": 0.3, "validation": 0.3, "balance": "largest", "seed": 3}
    return {
        "profile": "test",
        "sources": {"films": {"kind": "phantom", "layout": "nih", "seed": 1, "patients": patients, "size": size}},
        "withdrawn": {"films": []},
        "datasets": {"films_32": {"source": "films", "size": size}},
        "splits": {
            "squares": {
                "source": "films",
                "dataset": "films_32",
                "labels": labels or {"task": "binary", "positive": "Mass"},
                **cut,
                **(split or {}),
            }
        },
        "weights": {"none": {"kind": "none"}} | sections.pop("weights", {}),
        "experiments": {},
    } | sections


def parameters(values):
    """Writes params.yaml into the current folder; the parameters, checked as a whole."""
    PARAMS.write_text(yaml.safe_dump(values, sort_keys=False))
    return checked(values, str(PARAMS))


def resolve(values):
    """Writes params.yaml and the recipe of every experiment in it, as the recipe stage does; the parameters."""
    params = parameters(values)
    for name in params.experiments:
        recipes.write(name)
    return params


def write_code(*names):
    """Writes code files that reach nothing and need no package, for stages that look themselves up."""
    for name in names or STAGES:
        code.write(name, Code({}, {}))


def write_shards(dataset, ids, pixels, per_shard=40, rejected=()):
    """Writes images as the shards of a dataset, with their index, into the current folder.

    Args:
        dataset: Key of the dataset.
        ids: `image_id` of each.
        pixels: uint8 (N, size, size).
        per_shard: Images in a shard.
        rejected: `image_id` of what could not be read.
    """
    folder, pixels = shards.folder(dataset), np.asarray(pixels, np.uint8)
    folder.mkdir(parents=True)
    names = [f"part-{position // per_shard:05d}.h5" for position in range(len(ids))]
    for start in range(0, len(ids), per_shard):
        part = pixels[start : start + per_shard]
        with h5py.File(folder / names[start], "w", libver="earliest") as shard:
            shards.create(shard, len(part), part.shape[1])[:] = part
    columns = [
        list(ids),
        names,
        [position % per_shard for position in range(len(ids))],
        [f"{position:064x}" for position in range(len(ids))],
        [shards.digest(image) for image in pixels],
        *([pixels.shape[1]] * len(ids) for _ in range(2)),
        [1] * len(ids),
    ]
    lost = [list(rejected), [f"{image}.png" for image in rejected], ["cut off"] * len(rejected)]
    shards.write_tables(
        dataset,
        folder,
        pa.table(columns, schema=shards.INDEX),
        pa.table(lost, schema=shards.REJECTED),
        {"size": int(pixels.shape[1])},
    )
