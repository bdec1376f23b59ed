"""From shards to augmented batches, on one core: beside Keras' legacy `ImageDataGenerator` on an array in memory.

    uv run python benchmarks/batches.py [--quick]

Both sides deliver what VGG16's first layer takes, float32 (32, 384, 384, 3) from 0 to 255, varied as the 2018
article did: horizontal flip, shifts of 15 %, rotation within 5 degrees, shear, zoom of 10 %, the nearest pixel
outside.

- `glassbox`: `batches.training` over HDF5 shards on the disk, as both phases of a training use it. It delivers one
  channel of uint8, which the network casts and repeats; here both are done before the clock stops.
- `generator`: `ImageDataGenerator.flow` over a float32 array of three channels in memory, as the article had it.

Seconds of CPU of all threads. Medians of nine rounds in turn, with 95 % intervals. Prints a table and, last, one
line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import films
import numpy as np
from interleaved import ratio, rounds

from glassbox.learning import batches
from glassbox.params.experiments import Augmentation

SIZE, BATCH = 384, 32
#: The 2018 article's; its shear of 0.01 is in degrees.
ARTICLE = Augmentation(horizontal_flip=True, shift=0.15, rotation=5.0, shear=0.01, zoom=0.1)


def main() -> None:
    """Measures, prints the table, and last the line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="three rounds of little work: shows that all runs")
    asked = arguments.parse_args()
    steps, count = (1, 3) if asked.quick else (4, 9)
    with tempfile.TemporaryDirectory() as folder:
        fold = films.fold(Path(folder) / "shards", images=8 * BATCH, size=SIZE)
        stream = batches.training(fold, ARTICLE, BATCH, 1, first_pass=0)
        seconds = rounds(
            {"glassbox": partial(_ours, stream, steps), "generator": partial(_theirs, _generator(fold), steps)},
            count,
        )
        stream.close()
    faster = ratio(seconds["generator"], seconds["glassbox"])
    print(f"{BATCH * steps} films of {SIZE} px a round, {count} rounds")
    for name, taken in seconds.items():
        print(f"{name:>10}: {BATCH * steps / median(taken):8.1f} films a second of one core")
    print(f"ratio: {faster}")
    print(json.dumps({"vs_image_data_generator": round(faster.median, 2)}))


def _ours(stream: object, steps: int) -> None:
    for images, _ in itertools.islice(stream, steps):
        _three_channels(images)


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
