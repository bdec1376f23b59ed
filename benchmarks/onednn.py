"""The 2018 article's table of epochs, today: training steps with oneDNN's kernels and without.

    uv run python benchmarks/onednn.py [--quick]

The article fine-tuned VGG16 at 384 px on CPUs and gave the seconds of an epoch of 10,000 films: with Intel's build
of TensorFlow 650 for the warm start and 1,301 for the fine-tuning, with the plain build 1,713 and 3,277. Today one
build has both, told apart by TF_ENABLE_ONEDNN_OPTS. Two processes, one with each, take steps in turn: a warm-start
step with the backbone frozen, and a fine-tuning step with the first 10 layers frozen; batches of 8 on one array in
memory.

Seconds of the clock, medians of nine rounds with 95 % intervals. Prints a table with the seconds of an epoch of
10,000 films at the measured speed beside the published ones, and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from statistics import median
from typing import TYPE_CHECKING

from interleaved import ratio, rounds

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

BATCH, SIZE, FILMS = 8, 384, 10_000
#: Seconds of an epoch, oneDNN's build and the plain one.
PUBLISHED = {"warm_start": (650, 1713), "fine_tune": (1301, 3277)}


def main() -> None:
    """Measures, prints the table, and last the line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="three rounds at 64 px: shows that all runs")
    asked = arguments.parse_args()
    count, size = (3, 64) if asked.quick else (9, SIZE)
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes = []
    for onednn in ("on", "off"):
        # TensorFlow reads it when it is imported, which is in the process that is spawned here.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1" if onednn == "on" else "0"
        pipes[onednn], theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, size), daemon=True))
        processes[-1].start()
        pipes[onednn].recv()
    work = {
        f"{phase} {onednn}": lambda pipe=pipe, phase=phase: (pipe.send(phase), pipe.recv())
        for phase in PUBLISHED
        for onednn, pipe in pipes.items()
    }
    seconds = rounds(work, count, clock=time.perf_counter)
    print(f"VGG16, {size} px, batches of {BATCH}; seconds of an epoch of {FILMS:,} films")
    print(f"{'':>12} {'oneDNN':>8} {'plain':>8} {'plain/oneDNN':>22}   published in 2018")
    summary = {}
    for phase, (fast, slow) in PUBLISHED.items():
        epochs = [median(seconds[f"{phase} {onednn}"]) * FILMS / BATCH for onednn in ("on", "off")]
        times = ratio(seconds[f"{phase} off"], seconds[f"{phase} on"])
        published = f"{fast} and {slow} ({slow / fast:.2f})"
        print(f"{phase:>12} {epochs[0]:8.0f} {epochs[1]:8.0f} {times!s:>22}   {published}")
        summary[f"{phase}_vs_plain"] = round(times.median, 2)
    for pipe in pipes.values():
        pipe.send(None)
    for process in processes:
        process.join()
    print(json.dumps(summary))


def _serve(pipe: Connection, size: int) -> None:
    """Builds both phases' networks, then takes a step of one of them whenever it is named."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import numpy as np

    from glassbox.networks import network, runtime
    from glassbox.params.experiments import FirstLayers, Model, Optimizer, Training

    training = Training(seed=1, batch_size=BATCH)
    runtime.prepare(training.seed, training.precision, training.threads)
    settings = Model(backbone="vgg16", normalise="minmax", dense=(256,), dropout=0.5)
    sgd = Optimizer(name="sgd", learning_rate=1e-3, decay=1e-6, momentum=0.9, nesterov=True)
    phases = {
        "warm_start": ("everything", Optimizer(name="rmsprop", learning_rate=1e-3)),
        "fine_tune": (FirstLayers(first=10), sgd),
    }
    models = {}
    for name, (frozen, settings_of) in phases.items():
        models[name] = network.build(settings, size, "binary", 2, mean=0.0, deviation=1.0)
        network.freeze(models[name], frozen)
        models[name].compile(network.optimizer(settings_of, 1), "categorical_crossentropy")
    images = np.random.default_rng(1).integers(0, 255, (BATCH, size, size), np.uint8)
    labels = np.eye(2, dtype=np.float32)[np.arange(BATCH) % 2]
    pipe.send("ready")
    while (name := pipe.recv()) is not None:
        models[name].train_on_batch(images, labels)
        pipe.send("done")


if __name__ == "__main__":
    main()
