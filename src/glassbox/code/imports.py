"""What one file can import, read from its syntax tree: nothing is run."""

from __future__ import annotations

import ast
import warnings
from functools import cache
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The last part of a name that stands for every module right inside a package.
EVERY = "*"


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(name for node in _run(tree) for name in _imported(node, package))


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`."""
    left = [tree]
    while left:
        node = left.pop()
        yield node
        left += node.orelse if _is_for_type_checkers(node) else ast.iter_child_nodes(node)


def _is_for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and _last(node.test) == "TYPE_CHECKING"


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
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _absolute(name: str, package: str) -> str:
    """A name without the dots before it: one means the package, each further one the package around that."""
    inner = name.lstrip(".")
    if not (dots := len(name) - len(inner)):
        return name
    around = package.split(".")
    return ".".join([*around[: len(around) + 1 - dots], *filter(None, [inner])])
