"""From shards to augmented batches: beside Keras' legacy `ImageDataGenerator` on one core, and by several threads.

    uv run python benchmarks/batches.py [--quick]

Films of 384 px in batches of 32, varied as the 2018 article did: horizontal flip, shifts of 15 %, rotation within
5 degrees, shear, zoom of 10 %, the nearest pixel outside.

- `glassbox`: `batches.in_order` over HDF5 shards on the disk, which makes batches as a training has them. It
  delivers one channel of uint8, which the network casts and repeats; here both are done before the clock stops.
- `generator`: `ImageDataGenerator.flow` over a float32 array of three channels in memory, as the article had it.

Both deliver what VGG16's first layer takes, float32 (32, 384, 384, 3) from 0 to 255, in seconds of CPU of all
threads. Then the same batches as the network gets them, by one thread, by two and by one a core, in seconds of the
clock: `threads_2` is the rate of two threads by that of one. It says something on a machine with two cores that
nobody else uses meanwhile; one that is shared shows a wide interval.

Medians of nine rounds in turn, with 95 % intervals. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from unittest import mock

import cv2
import films
import numpy as np
from interleaved import ratio, rounds

from glassbox.params.experiments import Augmentation
from glassbox.processor import cores
from glassbox.training import augment, batches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIZE, BATCH = 384, 32
#: The 2018 article's; its shear of 0.01 is in degrees.
ARTICLE = Augmentation(horizontal_flip=True, shift=0.15, rotation=5.0, shear=0.01, zoom=0.1)


def main() -> None:
    """Measures, prints the tables, and last the line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="three rounds of little work: shows that all runs")
    asked = arguments.parse_args()
    (few, many), count = ((1, 4), 3) if asked.quick else ((4, 24), 9)
    with tempfile.TemporaryDirectory() as folder:
        less, more = (films.fold(Path(folder) / f"{steps}", steps * BATCH, SIZE) for steps in (few, many))
        one_core = {"glassbox": partial(_ours, less), "generator": partial(_theirs, _generator(less), few)}
        print(f"{count} rounds; films of {SIZE} px a second of one core:")
        seconds = _measured(one_core, few, count, time.process_time)
        faster = ratio(seconds["generator"], seconds["glassbox"])
        print(f"glassbox by generator: {faster}")
        by_threads = {f"threads: {number}": partial(_threaded, more, number) for number in {1, 2, cores()}}
        print(f"films a second by the clock, on {cores()} cores:")
        seconds = _measured(by_threads, many, count, time.perf_counter)
    threads_2 = ratio(seconds["threads: 1"], seconds["threads: 2"])
    print(f"two threads by one: {threads_2}")
    print(
        json.dumps({"vs_image_data_generator": round(faster.median, 2), "threads_2": round(threads_2.median, 2)})
    )


def _measured(
    work: Mapping[str, Callable[[], None]], steps: int, count: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """The seconds of each round by name, whose medians are printed as rates."""
    seconds = rounds(work, count, clock)
    for name, taken in seconds.items():
        print(f"{name:>11}: {steps * BATCH / median(taken):8.1f}")
    return seconds


def _delivered(fold: batches.Fold) -> object:
    return batches.in_order(fold, BATCH, augment.draw(ARTICLE, len(fold), (1,)))


def _ours(fold: batches.Fold) -> None:
    for images in _delivered(fold):
        _three_channels(images)


def _threaded(fold: batches.Fold, threads: int) -> None:
    with mock.patch.object(batches, "cores", return_value=threads):
        for _ in _delivered(fold):
            pass


def _three_channels(images: np.ndarray) -> np.ndarray:
    """What the network's first layers do: float32, the one channel three times."""
    delivered = np.empty((*images.shape, 3), np.float32)
    for image, target in zip(images.astype(np.float32), delivered, strict=True):
        cv2.merge((image, image, image), dst=target)
    return delivered


def _generator(fold: batches.Fold) -> object:
    from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(
        horizontal_flip=True,
        width_shift_range=0.15,
        height_shift_range=0.15,
        rotation_range=5,
        shear_range=0.01,
        zoom_range=0.1,
        fill_mode="nearest",
    )
    return generator.flow(_three_channels(fold.images.gather(fold.positions)), fold.labels, BATCH, seed=1)


def _theirs(flow: object, steps: int) -> None:
    for _ in range(steps):
        next(flow)


if __name__ == "__main__":
    main()
