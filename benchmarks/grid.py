"""What a second worker is worth to a grid: its cells on one and on two, each with one thread.

    uv run python benchmarks/grid.py [--quick]

The cells train a ResNet50, which is what the published grid trains, on the demo's generated films of 64 px and
from random weights. Both clusters stay through all rounds: their start and the import of TensorFlow are not
counted, what the stage does between cells is. Leave the machine alone meanwhile: beside other work, two workers on
2 cores cannot be twice as fast. It takes about 8 minutes, with `--quick` 3.

Prints a table of seconds of the clock, medians of the rounds in turn, and last one line of JSON. `two_workers` is
how many times as fast two workers are. `--quick` has fewer rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import dask
from distributed import LocalCluster
from interleaved import ratio, rounds

from glassbox import profiles, recipes
from glassbox.archives.download import download
from glassbox.artifacts import cells, code
from glassbox.artifacts import weights as random_weights
from glassbox.catalogs.build import build as build_catalog
from glassbox.cluster import ADDRESS
from glassbox.code.digests import digests
from glassbox.grids.train import CONFIGURATION, train
from glassbox.params.document import load
from glassbox.params.grids import Grid
from glassbox.paths import WORK
from glassbox.shards.build import build as build_shards
from glassbox.splits.build import build as build_split

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT, NAME = "infiltration_vgg16", "benchmark"
GRID = Grid(
    experiment=EXPERIMENT,
    split="infiltration",
    weights="none",
    images=(32, 64),
    all_but_last=(0, 6),
    epochs=1,
    steps_per_epoch=6,
    choices=1,
)


def main() -> None:
    """Makes the data once, trains the grid on either cluster in turn, and prints what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = arguments.parse_args().quick
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(sys.stderr),
        dask.config.set(CONFIGURATION),
        contextlib.ExitStack() as stack,
    ):
        _data()
        work = {f"{count} workers": _Work(stack, count) for count in (1, 2)}
        seconds = rounds(work, 2 if quick else 6, clock=time.perf_counter)
    tables = {piece.table for piece in work.values()}
    assert len(tables) == 1, "another number of workers made other bytes"
    one, two = seconds.values()
    count = len(GRID.cells)
    for name, taken in seconds.items():
        print(f"{name:>9}: {median(taken):6.1f} s for {count} cells, {median(taken) / count:5.2f} s a cell")
    gained = ratio(one, two)
    print(f"two workers are {gained} times as fast")
    print(json.dumps({"two_workers": round(gained.median, 3), "low": round(gained.low, 3), "cells": count}))


def _data() -> None:
    """The demo's archive, catalog, shards and split in the current folder, and no weights."""
    shutil.copytree(ROOT / "conf", "conf")
    for name, reached in digests(ROOT).items():
        code.write(name, reached)
    profiles.use("demo", [f"experiments.{EXPERIMENT}.training.threads=1"])
    demo = load()
    name = demo.experiments[EXPERIMENT].split
    split = demo.splits[name]
    download(demo.sources[split.source], split.source)
    build_catalog(demo.sources[split.source], split.source)
    build_shards(demo.datasets[split.dataset], split.dataset)
    build_split(split, name)
    random_weights.write("none", None)


class _Work:
    """The grid trained from its beginning on a cluster of so many workers."""

    def __init__(self, stack: contextlib.ExitStack, workers: int) -> None:
        self.table = b""
        self._address = stack.enter_context(
            LocalCluster(
                n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address="127.0.0.1:0"
            )
        ).scheduler_address

    def __call__(self) -> None:
        shutil.rmtree(WORK / "grid", ignore_errors=True)
        os.environ[ADDRESS] = self._address
        recipe = recipes.phase(recipes.mounted(EXPERIMENT), "fine_tune")
        model = recipe.model.model_copy(update={"backbone": "resnet50"})
        train(recipe.model_copy(update={"weights": "none", "model": model}), GRID, NAME)
        self.table = cells.grid_path(NAME).read_bytes()


if __name__ == "__main__":
    main()
