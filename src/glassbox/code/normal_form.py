"""What a Python file does, apart from how it is written down: one digest, the same on every Python.

Neither `ast.dump` nor `ast.unparse` will do. Python 3.12 gave functions a list of type parameters and reads
f-strings with another parser, 3.13 leaves empty fields out; each of them would make every stage stale on another
Python. This file imports nothing but the standard library, so that its tests can run it under any interpreter.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def digest(source: bytes) -> str:
    """The SHA-256 of what a file does, in hexadecimal; of its bytes where Python cannot read it.

    Comments, docstrings, `pass`, positions and the ways to write one constant (quotes, digits, escapes, a declared
    encoding) are no part of it; names, annotations, and the values of constants with their types are.
    """
    form = _form(source)
    # The bytes of a file that spells a normal form are none.
    said = b"bytes\n" + source if form is None else form.encode()
    return hashlib.sha256(said).hexdigest()


@cache
def is_empty(source: bytes) -> bool:
    """Whether a file does nothing: it has comments, a docstring and `pass` at most."""
    return _form(source) == _form(b"")


def definitions(source: bytes) -> dict[str, str]:
    """The digest of each function, method and class body of a file, by its dotted name; `<module>` is the rest."""
    found: dict[str, list[ast.stmt]] = {}

    def visit(body: list[ast.stmt], prefix: str, rest: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.", f"{prefix}{node.name}")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(f"{prefix}{node.name}", []).append(node)
            else:
                found.setdefault(rest, []).append(node)

    tree = parsed(source)
    visit([] if tree is None else tree.body, "", "<module>")
    forms = {name: "\n".join(line for node in nodes for line in _written(node)) for name, nodes in found.items()}
    return {name: hashlib.sha256(form.encode()).hexdigest() for name, form in forms.items()}


def parsed(source: bytes) -> ast.Module | None:
    """The syntax tree of a file, or None of what Python cannot read."""
    try:
        with warnings.catch_warnings():
            # Under `-W error` a doubtful escape would otherwise make a file unreadable.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    # No Python, a zero byte, nesting deeper than the parser goes.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _form(source: bytes) -> str | None:
    """The normal form as text, or None of what Python cannot read."""
    tree = parsed(source)
    try:
        return None if tree is None else "\n".join(_written(tree))
    except ValueError:  # an integer longer than Python prints
        return None


def _written(tree: ast.AST) -> Iterator[str]:
    """One line a node, list or value. Each says how much belongs to it, so that no two trees are written alike."""
    left: list[object] = [tree]  # instead of recursion, which would end where an interpreter's limit says
    while left:
        item = left.pop()
        if isinstance(item, ast.AST):
            fields = list(_fields(item))
            yield f"{type(item).__name__} {len(fields)}"
            left += [part for name, value in reversed(fields) for part in (value, name)]
        elif isinstance(item, list):
            yield f"list {len(item)}"
            left += reversed(item)
        else:
            # `repr` tells 1 from 1.0, True and "1", and 0.0 from -0.0; `ascii` is `repr` without the tables of
            # Unicode, which differ between Pythons.
            yield ascii(item)


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """The fields of a node that say something; Pythons differ in those that are empty."""
    for name, value in ast.iter_fields(node):
        said = value
        if isinstance(node, ast.JoinedStr):
            said = _joined(node)
        elif isinstance(value, list):
            statements = value[1:] if name == "body" and _has_docstring(node) else value
            said = [entry for entry in statements if not isinstance(entry, ast.Pass)]
        elif name == "kind" and isinstance(node, ast.Constant):  # the u of u"text"
            said = None
        elif name == "format_spec" and isinstance(value, ast.JoinedStr) and not _joined(value):
            said = None  # f"{x:}" is f"{x}"
        if said is not None and said != []:
            yield name, said


def _has_docstring(node: ast.AST) -> bool:
    return isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None


def _joined(node: ast.JoinedStr) -> list[object]:
    """The parts of an f-string; Pythons differ in where they cut its text, and in whether no text is a part."""
    parts: list[object] = [""]
    for value in node.values:
        part = value.value if isinstance(value, ast.Constant) else value
        if isinstance(part, str) and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return [part for part in parts if part != ""]
