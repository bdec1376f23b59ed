"""What the data half costs for a cohort of NIH's size: 112,120 images of some 31,000 patients.

    uv run python benchmarks/scale.py [--quick] [--rounds N] [--folder FOLDER]

Makes a zip in NIH's layout (noise of 16 to 31 pixels a side for films; patients, findings, official lists and 984
boxes like NIH's) and, in a copy of this project, parameters of one source, one dataset and one split. After one
real `dvc repro`, which is not timed, it measures each round: the index of the zip (every member is read and
hashed), the stage `catalog` and the stage `split` (with its leak count), each in a process of its own, from start
to exit, with its peak of resident memory; then `dvc status` and a `dvc repro` that finds nothing to do. There is
no experiment, and so nothing to compare: repro is asked for the split.

Prints a table with medians, the range over the rounds and the processor's own seconds and, last, one line of JSON:
`seconds` is the sum of index, catalog and split, `peak_mb` the largest of their peaks. `--quick` takes one round
of the same cohort.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from process import Run, run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
IMAGES, PATIENTS, BOXES = 112_120, 31_200, 984
SPLIT = "split@infiltration"
#: What each must not exceed: seconds and MB.
BOUNDS = {"seconds": 20.0, "peak_mb": 1000.0, "status_seconds": 3.0, "repro_seconds": 6.0}
_INDEX = """
from glassbox.artifacts import archive, members
from glassbox.archives import zip as zips
place, (_, sha256) = archive.path("films"), members.read("films")
members.write("films", zips.verify(place, zips.members(place), label="films"), sha256)
"""
_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def main() -> None:
    """Makes the project, builds it once, measures, and prints what came of it."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="one round")
    arguments.add_argument("--rounds", type=int, default=5, help="how many rounds (default: 5)")
    arguments.add_argument(
        "--folder", type=Path, help="where to work, and to leave everything (default: a temporary one)"
    )
    asked = arguments.parse_args()
    with contextlib.nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        prepare(project, SPLIT, _params)
        rounds = [_round(project) for _ in range(1 if asked.quick else asked.rounds)]
    _print(rounds)


# --- the project -------------------------------------------------------------------------------------------


def prepare(
    project: Path, target: str, params: Callable[[Path], dict[str, object]], sides: tuple[int, int] = (16, 32)
) -> None:
    """A copy of this project as it is now, with a generated archive, built; what is there already is kept.

    Args:
        project: Its folder; the archive lies beside it.
        target: The stage to build.
        params: What params.yaml is, given the archive.
        sides: Width and height of a film in pixels: from the first to below the second.
    """
    project.mkdir(parents=True, exist_ok=True)
    listed = said(["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"], project)
    for name in listed.splitlines():
        # What was measured and locked here is of other sources.
        if (ROOT / name).is_file() and not name.startswith(("metrics/", "dvc.lock", "params.yaml")):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name)
    archive = project.resolve().parent / "films.zip"
    if not archive.exists():
        # In a process of its own: what this one takes would be counted as the peak of those it starts.
        words = [sys.executable, str(Path(__file__).resolve()), "--make", str(archive), *map(str, sides)]
        said(words, project)
    (project / "params.yaml").write_text(json.dumps(params(archive)))
    said(["git", "init", "-q"], project)
    began = time.perf_counter()
    said([sys.executable, "-m", "dvc", "repro", target], project)
    print(f"dvc repro: {time.perf_counter() - began:.0f} s", file=sys.stderr)


def _params(archive: Path) -> dict[str, object]:
    split = {
        "source": "films",
        "dataset": "films_16",
        "labels": {"task": "binary", "positive": "Infiltration", "negative": "rest"},
        "official_test": True,
        "validation": 0.1,
        "balance": "largest",
        "seed": 2018,
    }
    return {
        "profile": "scale",
        "sources": {"films": source(archive)},
        "withdrawn": {"films": []},
        "datasets": {"films_16": {"source": "films", "size": 16}},
        "splits": {"infiltration": split},
        "grids": {},
        "weights": {},
        "experiments": {},
    }


def source(archive: Path) -> dict[str, object]:
    """The block of a source that is a zip."""
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"kind": "archive", "layout": "nih", "path": str(archive), "sha256": digest}


def _make(path: Path, least: int, most: int) -> None:
    """Writes the zip: members stored, in the folders and with the tables of NIH's archive on Kaggle."""
    import zipfile

    import numpy as np

    from glassbox.files import atomic
    from glassbox.params.sources import PhantomSource
    from glassbox.phantoms import films as generated
    from glassbox.phantoms import png
    from glassbox.phantoms.findings import FINDINGS

    films = generated.cohort(PhantomSource(kind="phantom", layout="nih", seed=2018, patients=PATIENTS, size=32))[
        :IMAGES
    ]
    random = np.random.default_rng(2018)
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for position, film in enumerate(films):
            # Of many sizes, so that streams have many lengths, as real films have.
            pixels = random.integers(0, 256, random.integers(least, most, 2), np.uint8)
            archive.writestr(
                f"images_{1 + (position + 5_001) // 10_000:03d}/images/{film.image_id}", png.encode(pixels)
            )
        entries = [
            f"{film.image_id},{'|'.join(film.findings) or 'No Finding'},{film.follow_up},{film.patient},"
            f"{film.age},{film.sex},{film.view},2500,2048,0.168,0.168,"
            for film in films
        ]
        boxed = [
            f"{film.image_id},{FINDINGS[finding].box_name},225.08,547.02,86.78,79.19"
            for film in films
            for finding in film.findings
            if film.official_split == "test" and FINDINGS[finding].box_name
        ]
        tables = {
            "Data_Entry_2017.csv": [_HEADER, *entries],
            "BBox_List_2017.csv": ["Image Index,Finding Label,Bbox [x,y,w,h],,,", *boxed[:BOXES]],
            "train_val_list.txt": [film.image_id for film in films if film.official_split != "test"],
            "test_list.txt": [film.image_id for film in films if film.official_split == "test"],
        }
        for name, lines in tables.items():
            archive.writestr(name, "".join(f"{line}\n" for line in lines))


# --- the measurements --------------------------------------------------------------------------------------


def _round(project: Path) -> dict[str, Run]:
    commands = {
        "index": ["-c", _INDEX],
        "catalog": ["stages/catalog.py", "films"],
        "split": ["stages/split.py", "infiltration"],
        "dvc status": ["-m", "dvc", "status"],
        "dvc repro": ["-m", "dvc", "repro", SPLIT],
    }
    return {
        name: run([sys.executable, *words], project, environment(project))[0] for name, words in commands.items()
    }


def said(words: list[str], folder: Path) -> str:
    """What a program prints in a folder."""
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    """The stages run the modules of the folder they are in, under this Python; the first run compiles for all."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "work" / "bytecode"),
        "DVC_NO_ANALYTICS": "1",
    }


def _print(rounds: list[dict[str, Run]]) -> None:
    """The table, then the line of JSON."""
    print(f"{'':<12} {'s':>7} {'range':>15} {'CPU s':>7} {'peak MB':>8}")
    for name in rounds[0]:
        seconds, cpu = [one[name].seconds for one in rounds], median(one[name].cpu for one in rounds)
        print(
            f"{name:<12} {median(seconds):>7.2f} {min(seconds):>7.2f}-{max(seconds):<7.2f} {cpu:>7.2f} "
            f"{max(one[name].mb for one in rounds):>8.0f}"
        )
    parts = ("index", "catalog", "split")
    figures = {
        "seconds": [sum(one[part].seconds for part in parts) for one in rounds],
        "peak_mb": [max(one[part].mb for part in parts) for one in rounds],
        "status_seconds": [one["dvc status"].seconds for one in rounds],
        "repro_seconds": [one["dvc repro"].seconds for one in rounds],
    }
    summary: dict[str, float] = {}
    for name, values in figures.items():
        summary |= {
            name: round(median(values), 2),
            f"{name}_low": round(min(values), 2),
            f"{name}_high": round(max(values), 2),
            f"{name}_bound": BOUNDS[name],
        }
    print(json.dumps({**summary, "images": IMAGES, "rounds": len(rounds)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        _make(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
