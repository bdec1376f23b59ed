"""Small archives of both cohorts, in a project of their own."""

import importlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from glassbox.archives import zip as zips
from glassbox.artifacts import archive, catalog, document, members
from glassbox.catalogs import build
from glassbox.params.sources import ArchiveSource

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


@pytest.fixture
def entries() -> Callable[..., bytes]:
    """NIH's `Data_Entry_2017.csv` of rows (image, findings, patient, age, sex, view)."""

    def text(*rows: tuple[object, ...], header: str = HEADER, end: str = "") -> bytes:
        lines = [header]
        for image, findings, patient, age, *rest in rows:
            sex, view = rest or ("M", "PA")
            lines.append(f"{image},{findings},0,{patient},{age},{sex},{view},2500,2048,0.168,0.168{end}")
        return "".join(f"{line}\n" for line in lines).encode()

    return text


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A project with one source `films`, which is the working directory.

    `zip(files)` makes its archive and its index; `tables(layout, files)` what the cohort's reader says of it, or
    of the one that is there; `build(layout, files, **shares)` its catalog, as a frame; `counts()` what the metrics
    say; `outputs()` every file but those of the archive.
    """
    monkeypatch.chdir(tmp_path)
    path = archive.path("films")
    path.parent.mkdir(parents=True)

    def make(files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as films:
            for name, content in files.items():
                films.writestr(name, content)
        members.write("films", zips.verify(path, zips.members(path), label="films"), "0" * 64)

    def tables(cohort: str, files: dict[str, bytes] | None = None) -> Any:
        if files is not None:
            make(files)
        with zips.opened(path) as descriptor:
            reader = importlib.import_module(f"glassbox.cohorts.{cohort}").tables
            return reader(members.read("films")[0], lambda member: zips.read(descriptor, member))

    def run(cohort: str, files: dict[str, bytes], **shares: float) -> pd.DataFrame:
        make(files)
        source = ArchiveSource(kind="archive", path=Path("x.zip"), sha256="0" * 64, layout=cohort, **shares)
        build.build(source, "films")
        return catalog.read("films")[0]

    return SimpleNamespace(
        archive=path,
        zip=make,
        tables=tables,
        build=run,
        counts=lambda: document.read(catalog.counts_path("films"), "catalog@films"),
        outputs=lambda: [file for file in Path().rglob("*") if file.is_file() and file.parent != path.parent],
    )
