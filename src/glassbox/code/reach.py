"""What a script can reach: files of the project and names of packages, found without running anything."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib.util import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from glassbox.code.normal_form import is_empty, parsed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_PACKAGE = "__init__.py"
#: The last part of a name that stands for every module right inside a package.
_EVERY = "*"


class Listing(NamedTuple):
    """What lies in a project's `src/`."""

    #: By the names under which Python would import them.
    modules: dict[str, Path]
    #: Package -> the data files in its folders.
    data: dict[str, list[Path]]


class Reached(NamedTuple):
    """What a walk came by."""

    #: The file it started from, modules of the project, and data files of the packages these lie in; relative to
    #: the project's root, sorted. An `__init__.py` that does nothing is left out.
    files: tuple[Path, ...]
    #: Top-level names that are neither the project's nor the standard library's, sorted.
    packages: tuple[str, ...]


def reach(
    root: Path,
    start: Path,
    behind: Mapping[str, Collection[str]] = MappingProxyType({}),
    without: Collection[str] = (),
    listing: Listing | None = None,
) -> Reached:
    """Goes from import to import until nothing is new.

    Every import counts that may be run: in a function, in either branch of an `if` or a `try`. With a module come
    the packages it lies in, and with a package the data files in its folders.

    Args:
        root: The project's root; its modules lie in `src/`.
        start: A script, or a module in `src/`; relative to the root.
        behind: Name -> names that come with it although no file imports them.
        without: Names that are passed over with everything in them, and not gone through.
        listing: What `listed` says of the project, where somebody has asked already.

    Raises:
        FileNotFoundError: There is no such script.
    """
    modules, data = listing or listed(root)
    files: set[Path] = set()
    packages: set[str] = set()
    left = [name for name, path in modules.items() if path == root / start]
    if not left:
        files.add(root / start)
        left += imports((root / start).read_bytes(), "")
    no_package = sys.stdlib_module_names | {name.partition(".")[0] for name in modules}
    seen: set[str] = set()
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        around, _, last = name.rpartition(".")
        left += [around] if around else []
        if any(f"{name}.".startswith(f"{other}.") for other in without):
            continue
        left += behind.get(name, ())
        if (path := modules.get(name)) is not None:
            source = path.read_bytes()
            package = name if path.name == _PACKAGE else around
            left += imports(source, package)
            files |= {*data.get(package, ()), *([] if path.name == _PACKAGE and is_empty(source) else [path])}
        elif last == _EVERY:
            left += [module for module in modules if module.rpartition(".")[0] == around]
        elif not around and name not in no_package:
            packages.add(name)
    return Reached(tuple(sorted(path.relative_to(root) for path in files)), tuple(sorted(packages)))


def listed(root: Path) -> Listing:
    """What lies in the `src/` of the project at a root.

    Names come from a listing, not from asking for one file after another: where capitals are the same as small
    letters to a file system, `Scores.py` would be found although Python would not import it.
    """
    source = root / "src"
    modules: dict[str, Path] = {}
    data: dict[str, list[Path]] = {}
    # Packages first, so that no module replaces one of its name.
    for path in sorted(source.rglob("*"), key=lambda path: (path.name != _PACKAGE, path)):
        *folders, last = path.relative_to(source).parts
        # What Python, an editor or a file manager keeps for itself: `__pycache__`, and what is hidden.
        if not path.is_file() or any(part == "__pycache__" or part[0] == "." for part in (*folders, last)):
            continue
        if path.suffix == ".py":
            name = folders if path.name == _PACKAGE else [*folders, path.stem]
            modules.setdefault(".".join(name), path)
        else:
            while folders and ".".join(folders) not in modules:
                folders.pop()
            data.setdefault(".".join(folders), []).append(path)
    return Listing(modules, data)


@cache
def imports(source: bytes, package: str) -> tuple[str, ...]:
    """The dotted names a file can import, wherever in it the imports stand.

    Imports inside functions count, those that only a type checker reads do not. `from a import b` gives `a.b`,
    whether that is a module or not, and `from a import *` gives `a.*`. `importlib.import_module` counts where its
    name is written out.

    Args:
        source: The file's bytes. What Python cannot read imports nothing.
        package: The package that relative imports start from; empty for a script, which has none.

    Returns:
        Absolute names. To import `a.b` is to import `a` too, which is not given beside it.
    """
    tree = parsed(source)
    return () if tree is None else tuple(name for node in _run(tree) for name in _imported(node, package))


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, ast.If) and _last(node.test) == "TYPE_CHECKING":
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        start = _absolute("." * node.level + (node.module or ""), package)
        yield from (f"{start}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _last(node.func) == "import_module":
        for name in (*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield _absolute(name.value, package)


def _last(node: ast.expr) -> str:
    """The last part of a name: `import_module` of `importlib.import_module`, and of itself."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _absolute(name: str, package: str) -> str:
    """A name without the dots before it; as it stands where these lead out of every package."""
    try:
        return resolve_name(name, package)
    except ImportError:
        return name
