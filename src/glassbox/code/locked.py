"""Which packages bring what is imported, and their versions in uv.lock, which are the same on every Python."""

from __future__ import annotations

import re
import tomllib
from contextlib import contextmanager
from functools import cache
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

LOCK = "uv.lock"


def packages(root: Path, imported: Iterable[str]) -> dict[str, str]:
    """The distributions behind some imports, each with its locked version.

    Which distribution brings an import is asked of the installed ones. Those that are not in uv.lock do not count:
    what somebody installed beside the project is none of its packages.

    Args:
        root: The folder of uv.lock.
        imported: Top-level names, as `cv2` in `import cv2`.

    Returns:
        Normalised name -> version, sorted by name: `{"opencv-python-headless": "5.0.0.93"}`.

    Raises:
        GlassboxError: uv.lock cannot be read, none of its packages brings an import, or one that does is locked in
            several versions.
    """
    with _reading():
        versions = _versions((root / LOCK).read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for name in imported:
        if not (brought_by := versions.keys() & _bringing().get(name, ())):
            raise GlassboxError(
                f"{name} is imported, but no installed package of {LOCK} brings it",
                f"imports of packages in {LOCK}",
                "run `uv sync`; add a new package with `uv add`",
            )
        found |= {package: _only(package, versions[package]) for package in brought_by}
    return dict(sorted(found.items()))


def hashes(root: Path, packages: Mapping[str, str]) -> dict[str, list[str]]:
    """SHA-256 of the files that packages may be installed from: of one, which was depends on the system.

    Args:
        root: The folder of uv.lock.
        packages: Name -> version.

    Returns:
        Name -> in hexadecimal, sorted, of its wheels and its source; nothing of what is locked in another version.

    Raises:
        GlassboxError: uv.lock cannot be read.
    """
    found: dict[str, list[str]] = {}
    with _reading():
        for package in tomllib.loads((root / LOCK).read_text(encoding="utf-8"))["package"]:
            name = _normal(package["name"])
            if packages.get(name) == package.get("version"):
                files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
                known = (file["hash"].partition("sha256:")[2] for file in files if "hash" in file)
                found[name] = sorted(filter(None, {*found.get(name, []), *known}))
    return {name: digests for name, digests in sorted(found.items()) if digests}


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise GlassboxError(
            f"{LOCK} cannot be read: {error}", "the file as `uv lock` wrote it", f"run `git checkout {LOCK}`"
        ) from None


def _only(package: str, versions: list[str]) -> str:
    if len(versions) != 1:
        raise GlassboxError(
            f"{LOCK} has {package} in {len(versions)} versions: {', '.join(versions) or 'none'}",
            "one version, on every Python and system: a model's bytes depend on it",
            f"limit {package} in pyproject.toml to releases that serve all of them, and run `uv lock`",
        )
    return versions[0]


@cache
def _versions(text: str) -> dict[str, list[str]]:
    """Normalised name -> versions, in the file's order."""
    versions: dict[str, list[str]] = {}
    for package in tomllib.loads(text)["package"]:
        listed = versions.setdefault(_normal(package["name"]), [])
        if "version" in package:  # a project whose version is computed has none
            listed.append(package["version"])
    return versions


@cache
def _bringing() -> Mapping[str, set[str]]:
    """Top-level name -> the normalised names of the installed distributions with files under it."""
    return {name: {_normal(found) for found in by} for name, by in packages_distributions().items()}


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
