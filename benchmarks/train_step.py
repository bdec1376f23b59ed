"""What a training costs besides the network: its loop against a bare one, the cores it keeps busy, its memory.

    uv run python benchmarks/train_step.py [--quick]

VGG16 at 224 px, its first 10 layers frozen, SGD with Nesterov momentum, as the 2018 article fine-tuned.

- `glassbox`: `phases.run` over shards on the disk: batches gathered and augmented, validation, the history, and
  the checkpoint, which is written while the next epoch trains.
- `bare`: `train_on_batch` on one array in memory, and the same films of validation through `predict_on_batch`.

A round is a window of one epoch of ten steps, from the middle of one to that of the next, its end included;
windows of both alternate. Seconds of the clock, medians of six rounds with 95 % intervals. `cores_used` is the CPU
time of glassbox's windows by that of the clock.

`verify_share` is what the comparison of pixels with their digests takes, by a bare step: how much longer a batch
takes to gather when its films are read for the first time than when they are read again. It is paid once a film in
a process, by the threads that make batches ahead.

Memory: the peak of a process that trains VGG16 at 384 px on 3,000 films (every one of them is read and augmented
once; the network sees two batches of them), less the peak of one that calls `train_on_batch` on one array. Mapped
shards, here 442 MB, count as long as the system has memory to keep them.

Five minutes on two cores. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import films
import numpy as np
from interleaved import Ratio, ratio

from glassbox.artifacts.shards import Images
from glassbox.networks import network, runtime
from glassbox.params.experiments import Augmentation, Model, Optimizer, Phase, Training
from glassbox.training import batches, order, phases, strategies
from glassbox.training.checkpoint import Checkpoint
from glassbox.training.data import TrainingData

BATCH = 8
TRAINING = Training(seed=1, batch_size=BATCH)
ARTICLE = Augmentation(horizontal_flip=True, shift=0.15, rotation=5.0, shear=0.01, zoom=0.1)
VGG16 = Model(backbone="vgg16", normalise="minmax", dense=(256,), dropout=0.5)
SGD = Optimizer(name="sgd", learning_rate=1e-3, decay=1e-6, momentum=0.9, nesterov=True)
#: Of the whole process: the peak of its resident memory, mapped files included.
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


class Window(NamedTuple):
    """An epoch of each loop, in seconds."""

    ours: float
    bare: float
    #: One bare step.
    step: float
    #: CPU time of ours.
    cpu: float


def main() -> None:
    """Measures, prints the tables, and last the line of JSON; a process that measures memory prints its peak."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="three rounds of little work: shows that all runs")
    arguments.add_argument("--peak", choices=("glassbox", "bare"), help=argparse.SUPPRESS)
    arguments.add_argument("--films", type=int, default=3_000, help="films of the memory's training")
    asked = arguments.parse_args()
    if asked.peak:
        _train_and_print(asked.peak, asked.films)
        return
    steps, count = (2, 3) if asked.quick else (10, 6)
    with tempfile.TemporaryDirectory() as folder:
        windows = _windows(Path(folder), steps, count)
        verified = median(_verification(Path(folder) / "train") for _ in range(count))
    over: Ratio = ratio([window.bare for window in windows], [window.ours for window in windows])
    cores = median(window.cpu / window.ours for window in windows)
    print(f"VGG16, 224 px, batches of {BATCH}, windows of an epoch of {steps} steps, {count} rounds")
    for name in ("ours", "bare"):
        taken = median(getattr(window, name) for window in windows)
        print(f"{name:>5}: {steps * BATCH / taken:.2f} films a second")
    print(f"ours against bare: {over}; cores used: {cores:.2f}")
    step = median(window.step for window in windows)
    print(f"a step: {step * 1e3:,.0f} ms; to verify its films, when first read: {verified * 1e3:.2f} ms")
    peaks = {name: _peak(name, 600 if asked.quick else asked.films) for name in ("glassbox", "bare")}
    print("peak memory at 384 px: " + ", ".join(f"{name} {peak:,.0f} MB" for name, peak in peaks.items()))
    print(
        json.dumps(
            {
                "vs_bare_loop": round(over.median, 3),
                "cores_used": round(cores, 2),
                "verify_share": round(verified / step, 5),
                "beyond_tensorflow_mb": round(peaks["glassbox"] - peaks["bare"]),
            }
        )
    )


def _data(folder: Path, images: int, size: int) -> TrainingData:
    train = films.fold(folder / "train", images, size)
    validation = films.fold(folder / "validation", BATCH, size)
    return TrainingData("binary", train, validation, ARTICLE, TRAINING)


def _phase(epochs: int, steps: int) -> Phase:
    return Phase(
        epochs=epochs,
        steps_per_epoch=steps,
        freeze={"first": 10},
        optimizer=SGD,
        loss="binary_crossentropy",
    )


def _windows(folder: Path, steps: int, count: int) -> list[Window]:
    """The seconds of each window, after an epoch and a half and a bare step that warm up."""
    runtime.prepare(TRAINING.seed, TRAINING.precision, TRAINING.threads)
    data = _data(folder, 256, 224)
    ours, bare = (network.build(VGG16, 224, "binary", 2, mean=0.0, deviation=1.0) for _ in range(2))
    images, labels = data.train.images.gather(data.train.positions[:BATCH]), data.train.labels[:BATCH]
    _compile(bare)
    bare.train_on_batch(images, labels)
    bare.predict_on_batch(images)
    seen: list[Window] = []
    clocks: list[float] = []
    number = itertools.count()
    train = strategies.train

    def alternating(*batch: object) -> object:
        """A step of ours; in the middle of an epoch the window of ours ends, and one of the bare loop follows."""
        epoch, step = divmod(next(number), steps)
        if epoch > 0 and step == steps // 2:
            if clocks:
                wall, cpu = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
                start = time.perf_counter()
                for _ in range(steps):
                    bare.train_on_batch(images, labels)
                stepping = time.perf_counter() - start
                bare.predict_on_batch(images)
                seen.append(Window(wall, time.perf_counter() - start, stepping / steps, cpu))
            clocks[:] = time.perf_counter(), time.process_time()
        return train(*batch)

    with mock.patch.object(strategies, "train", alternating):
        _run(ours, data, folder, _phase(count + 2, steps))
    return seen


def _compile(model: object) -> None:
    network.freeze(model, _phase(1, 1).freeze)
    rate = network.optimizer(SGD, 1)
    model.compile(rate, "categorical_crossentropy", metrics=["categorical_accuracy"])


def _run(model: object, data: TrainingData, folder: Path, phase: Phase) -> None:
    checkpoint = Checkpoint(folder / "checkpoint.npz")
    phases.run(model, phase, data, name="fine_tune", first_epoch=0, checkpoint=checkpoint)


def _verification(project: Path) -> float:
    """Seconds that the films of a batch take, when they are first read, beyond those of being read again.

    The median of all batches of a project's dataset; that the system maps a page when it is first touched is
    among them.
    """
    with contextlib.chdir(project):
        images = Images("films")
    taken = []
    for batch in np.arange(256).reshape(-1, BATCH):
        clocks = [time.perf_counter()]
        for _ in range(2):
            images.gather(batch)
            clocks.append(time.perf_counter())
        first, again = np.diff(clocks)
        taken.append(first - again)
    return median(taken)


def _peak(name: str, count: int) -> float:
    """The peak memory of a training in a process of its own, in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--peak", name, "--films", str(count)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _train_and_print(name: str, count: int) -> None:
    """Trains two steps at 384 px, and prints this process's peak memory in MB."""
    runtime.prepare(TRAINING.seed, TRAINING.precision, TRAINING.threads)
    model = network.build(VGG16, 384, "binary", 2, mean=0.0, deviation=1.0)
    if name == "bare":
        _compile(model)
        images = np.random.default_rng(1).integers(0, 255, (BATCH, 384, 384), np.uint8)
        for _ in range(2):
            model.train_on_batch(images, np.eye(2, dtype=np.float32)[np.arange(BATCH) % 2])
        model.predict_on_batch(images)
    else:
        with tempfile.TemporaryDirectory() as folder:
            data = _data(Path(folder), count, 384)
            with contextlib.closing(batches.training(data.train, ARTICLE, BATCH, 1, first_pass=0)) as stream:
                for _ in itertools.islice(stream, order.steps(data.train.draws, BATCH)):
                    pass
            _run(model, data, Path(folder), _phase(1, 2))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(_PEAK.search(status)[1]) * 1024 / 1e6)


if __name__ == "__main__":
    main()
