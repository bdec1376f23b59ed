"""What a script can reach: files of the project and names of packages, found without running anything."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from glassbox.code.imports import EVERY, imports
from glassbox.code.project import project

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_NOTHING: Mapping[str, Collection[str]] = MappingProxyType({})


class Reached(NamedTuple):
    """What a walk came by.

    Attributes:
        files: The file it started from, modules of the project, and data files of the packages these lie in;
            relative to the project's root, sorted. An `__init__.py` that does nothing is left out.
        packages: Top-level names that are neither the project's nor the standard library's, sorted.
    """

    files: tuple[Path, ...]
    packages: tuple[str, ...]


def reach(
    root: Path, start: Path, behind: Mapping[str, Collection[str]] = _NOTHING, without: Collection[str] = ()
) -> Reached:
    """Goes from import to import until nothing is new.

    Every import counts that may be run: in a function, in either branch of an `if` or a `try`. With a module come
    the packages it lies in, and with a package the data files in its folders.

    Args:
        root: The project's root; its modules lie in `src/`.
        start: A script, or a module in `src/`; relative to the root.
        behind: Name -> names that come with it although no file imports them.
        without: Names that are passed over with everything in them, and not gone through.

    Raises:
        FileNotFoundError: There is no such script.
    """
    own = project(root)
    files: set[Path] = set()
    packages: set[str] = set()
    left = [name for name, path in own.modules.items() if path == root / start]
    if not left:
        files.add(root / start)
        left += imports((root / start).read_bytes(), "")
    no_package = sys.stdlib_module_names | {name.partition(".")[0] for name in own.modules}
    seen: set[str] = set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        around, _, last = name.rpartition(".")
        left += [around] if around else []
        if _is_among(name, without):
            continue
        left += behind.get(name, ())
        if name in own.modules:
            source = own.modules[name].read_bytes()
            left += imports(source, own.package(name))
            files.update(own.files(name, source))
        elif last == EVERY:
            left += own.inside(around)
        elif not around and name not in no_package:
            packages.add(name)
    return Reached(tuple(sorted(path.relative_to(root) for path in files)), tuple(sorted(packages)))


def _is_among(name: str, names: Collection[str]) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in names for length in range(1, len(parts) + 1))
