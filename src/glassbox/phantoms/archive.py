"""The archive of generated films: one zip in NIH's layout, the same bytes on any machine."""

from __future__ import annotations

import multiprocessing
import zipfile
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import tqdm
from dask.system import cpu_count

from glassbox import files
from glassbox.keyed import Purpose, number
from glassbox.phantoms import png
from glassbox.phantoms.films import Film, boxes, cohort, render
from glassbox.phantoms.findings import FINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from glassbox.params.sources import PhantomSource

#: With fewer, starting processes (about a second) takes longer than they save.
_PIXELS_WORTH_PROCESSES = 400 * 128 * 128
#: NIH's header, whose last two columns fall apart at their commas, and the comma that ends Kaggle's rows.
_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def write(source: PhantomSource, path: Path) -> None:
    """Writes the archive of a source: one zip in the layout of NIH's on Kaggle, members stored.

    Raises:
        ParamsError: See `cohort`.
    """
    films = cohort(source)
    with files.atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        streams = tqdm.tqdm(
            _streams(films, source.size), total=len(films), desc=path.name, unit="film", disable=None
        )
        for film, stream in zip(films, streams, strict=True):
            _add(archive, f"images_{_folder(film.patient):03d}/images/{film.image_id}", stream)
        for name, text in _tables(films, source.size).items():
            _add(archive, name, text.encode("ascii"))


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.create_system = 3
    member.external_attr = 0o100644 << 16
    archive.writestr(member, data, compress_type=zipfile.ZIP_STORED)


def _folder(patient: int) -> int:
    """About 5,000 films lie in a folder, as in NIH's first: those of 1,400 patients, who have 3.6 each."""
    return 1 + patient // 1_400


def _has_four_channels(film: Film) -> bool:
    """One film in 200, whoever else is in the cohort; of NIH's 112,120 films 519 have."""
    return number(film.image_id, Purpose.CHANNELS, film.seed) % 200 == 0


def _encoded(films: list[Film], size: int) -> list[bytes]:
    streams = []
    for film in films:
        pixels = render(film, size)
        if _has_four_channels(film):
            pixels = np.stack([pixels, pixels, pixels, np.full_like(pixels, 255)], axis=2)
        streams.append(png.encode(pixels))
    return streams


def _streams(films: list[Film], size: int) -> Iterator[bytes]:
    """The films' PNG streams in order, rendered by all cores where that pays for starting the processes."""
    blocks = (films[start : start + 16] for start in range(0, len(films), 16))
    workers = cpu_count()
    if workers == 1 or len(films) * size * size < _PIXELS_WORTH_PROCESSES:
        for block in blocks:
            yield from _encoded(block, size)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = deque(pool.submit(_encoded, block, size) for block in islice(blocks, 3 * workers))
        while waiting:
            yield from waiting.popleft().result()
            waiting.extend(pool.submit(_encoded, block, size) for block in islice(blocks, 1))


def _tables(films: list[Film], size: int) -> dict[str, str]:
    """Name -> text of the tables, with what is peculiar to NIH's headers and to Kaggle's rows."""
    entries = [_HEADER]
    framed = ["Image Index,Finding Label,Bbox [x,y,w,h],,,"]
    for film in films:
        width, height, spacing = film.original
        labels = "|".join(film.findings) or "No Finding"
        entries.append(
            f"{film.image_id},{labels},{film.follow_up},{film.patient},{film.age},{film.sex},{film.view},"
            f"{width},{height},{spacing},{spacing},"
        )
        if film.official_split == "test":
            for finding, *sides in boxes(film, size):
                sized = ",".join(f"{side:.15g}" for side in sides)
                framed.append(f"{film.image_id},{FINDINGS[finding].box_name},{sized}")
    lines = {
        "BBox_List_2017.csv": framed,
        "Data_Entry_2017.csv": entries,
        "test_list.txt": [film.image_id for film in films if film.official_split == "test"],
        "train_val_list.txt": [film.image_id for film in films if film.official_split == "train_val"],
    }
    return {name: "".join(f"{line}\n" for line in content) for name, content in lines.items()}
