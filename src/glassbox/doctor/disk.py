"""Free disk against need, and what DVC's cache makes of it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glassbox.artifacts import archive, shards
from glassbox.artifacts.damage import ArtifactError
from glassbox.doctor.finding import Finding, existing, size
from glassbox.params.sources import ArchiveSource
from glassbox.paths import DATA, WORK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dvc.repo import Repo

    from glassbox.doctor.archives import Stock
    from glassbox.params.document import Params
    from glassbox.params.sources import AnySource

_LINKS = ("reflink", "hardlink", "symlink")


def cache(repo: Repo) -> Path:
    """The folder of DVC's cache."""
    return Path(repo.cache.local.path)


def link(repo: Repo) -> tuple[Finding, str]:
    """How DVC puts what is in its cache into the workspace: the first way of its configuration that works.

    DVC's own test makes a file in the cache, links it into `data/`, and removes both.

    Returns:
        The finding, and `reflink`, `hardlink`, `symlink` or `copy`.
    """
    from dvc.fs import generic

    wanted, local = repo.cache.local.cache_types, repo.cache.local
    target = repo.fs.join(str(existing(DATA)), "link")
    try:
        able = generic.test_links([*_LINKS, "copy"], local.fs, str(existing(cache(repo))), repo.fs, target)
    except OSError as error:
        found = f"{error.filename or cache(repo)}: {error.strerror}"
        return Finding("link type", "problem", found, "make DVC's cache and data/ writable"), "copy"
    used = next((way for way in wanted if way in able), None)
    better = "run `dvc config --local cache.type reflink,hardlink,symlink`"
    if used is None:
        found = f"none of {', '.join(wanted)} works between {cache(repo)} and data/"
        action = better if set(able) & set(_LINKS) else "run `dvc config --local cache.type copy`"
        return Finding("link type", "problem", found, action), "copy"
    if used == "copy":
        action = (
            better
            if set(able) & set(_LINKS)
            else "move cache and data/ to one disk, or reckon with twice the room"
        )
        return Finding("link type", "warning", "copy: what DVC tracks lies on the disk twice", action), used
    where = f", in {cache(repo)}" if used == "symlink" else ""
    return Finding("link type", "ok", f"{used}: what DVC tracks lies on the disk once{where}"), used


class Disk(NamedTuple):
    """A file system: its number, and the bytes that are free on it."""

    device: int
    free: int


def look(path: Path) -> Disk:
    """The file system that `path` lies on or would lie on."""
    place = existing(path)
    return Disk(place.stat().st_dev, shutil.disk_usage(place).free)


def outputs(params: Params, stocks: Mapping[str, Stock], way: str) -> dict[Path, int | None]:
    """The bytes that archives and shards have still to take; None where nobody knows.

    An archive takes its size, or nothing where it shares the blocks of a zip on disk; shards take images x size^2
    bytes. What is made already takes nothing more, and what lies unfinished in `work/` is subtracted. Models and
    predictions are small beside them and not counted.

    Args:
        params: All parameters.
        stocks: What is known of the archive of each source.
        way: How DVC links, see `link`; blocks are shared by `reflink`.
    """
    sizes: dict[Path, int | None] = {}
    for key, stock in stocks.items():
        if stock.fault is None or stock.bytes is not None:
            free = stock.made or (way == "reflink" and _beside(params.sources[key]))
            unfinished = (WORK / "download").glob(f"{key}-*")
            sizes[archive.path(key)] = 0 if free else _less(stock.bytes, *unfinished)
    for key, dataset in params.datasets.items():
        stock = stocks[dataset.source]
        if archive.path(dataset.source) in sizes:
            made = stock.made and _side(key) == dataset.size
            whole = None if stock.images is None else stock.images * dataset.size**2
            sizes[shards.folder(key)] = 0 if made else _less(whole, WORK / "resize" / key)
    return sizes


def _less(whole: int | None, *unfinished: Path) -> int | None:
    there = 0
    for folder in unfinished:
        for place, _, files in os.walk(folder):
            for file in files:
                with suppress(FileNotFoundError):  # a stage is running
                    there += (Path(place) / file).stat().st_size
    return None if whole is None else max(0, whole - there)


def _beside(source: AnySource) -> bool:
    """Whether a source is a zip on the disk of its copy."""
    return isinstance(source, ArchiveSource) and look(source.path).device == look(DATA).device


def _side(dataset: str) -> int | None:
    """Width and height of the finished images of a dataset, in pixels."""
    try:
        return int(shards.read_index(dataset).made_of["size"])
    except ArtifactError:
        return None


def room(
    sizes: Mapping[Path, int | None], way: str, kept: Path, at: Callable[[Path], Disk] = look
) -> list[Finding]:
    """Whether each disk has room for what it will take.

    With `reflink` and `hardlink`, `data/` takes all outputs and DVC's cache nothing, as they share blocks. With
    `symlink` the cache takes all, and `data/` the largest one while it is made; with `copy` both take all. `work/`
    takes the largest one while it is made, unless it lies on the disk of `data/`: there it is moved.

    Args:
        sizes: Bytes to come of each output.
        way: How DVC links.
        kept: DVC's cache.
        at: What is known of a path's disk.
    """
    known = [count for count in sizes.values() if count is not None]
    every, largest = sum(known), max(known, default=0)
    needs = {DATA: largest if way == "symlink" else every, kept: 0, WORK: 0}
    if way in {"symlink", "copy"}:
        needs[kept] = every
    if at(WORK).device != at(DATA).device:
        needs[WORK] = largest
    findings = []
    for device in dict.fromkeys(at(path).device for path in needs):
        there = {path: need for path, need in needs.items() if at(path).device == device}
        findings.append(_fits(min(at(path).free for path in there), sum(there.values()), there))
    if unknown := [str(path) for path, count in sizes.items() if count is None]:
        found = f"nobody knows yet how large these will be: {', '.join(unknown)}"
        findings.append(Finding("disk", "warning", found, "see the dataset's page and compare with what is free"))
    return findings


def _fits(free: int, need: int, folders: Mapping[Path, int]) -> Finding:
    places = ", ".join(_short(path) for path in folders)
    found = f"{size(free)} free for {places}; {f'{size(need)} more needed' if need else 'nothing more needed'}"
    if free < need:
        return Finding("disk", "problem", found, f"free {size(need - free)} there, or use a larger disk")
    return Finding("disk", "ok", found)


def _short(path: Path) -> str:
    """A folder as seen from the project."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
