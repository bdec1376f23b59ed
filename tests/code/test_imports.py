"""The names a file can import are read from it, in whichever way it imports them."""

from __future__ import annotations

import pytest

from glassbox.code.imports import imports


def _names(source: str, package: str = "a.b") -> set[str]:
    return set(imports(source.encode(), package))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import c", {"c"}),
        ("import c.d.e", {"c.d.e"}),
        ("import c.d as e, f", {"c.d", "f"}),
        ("from c import d", {"c.d"}),
        ("from c.d import e as f, g", {"c.d.e", "c.d.g"}),
        ("from c import *", {"c.*"}),
        ("from . import c", {"a.b.c"}),
        ("from .c import d", {"a.b.c.d"}),
        ("from .. import c", {"a.c"}),
        ("from ..c.d import e", {"a.c.d.e"}),
        ("from . import *", {"a.b.*"}),
        ("def f():\n import c", {"c"}),
        ("class A:\n async def f(self):\n  for x in y:\n   from c import d", {"c.d"}),
        ("try:\n import c\nexcept ImportError:\n import d\nelse:\n import e\nfinally:\n import f", {*"cdef"}),
        ("if x:\n import c\nelif y:\n import d\nelse:\n import e", {*"cde"}),
        ("with x:\n import c", {"c"}),
        ("match x:\n case 1:\n  import c", {"c"}),
        ("x = lambda: importlib.import_module('c.d')", {"c.d"}),
        ("import_module(name='c.d')", {"c.d"}),
        ("importlib.import_module('.c', __package__)", {"a.b.c"}),
        ("importlib.import_module(f'c.{d}')", set()),
        ("importlib.import_module(c)", set()),
        ("x = 'import c'", set()),
        ("# import c", set()),
        ("def", set()),
        ("\0", set()),
    ],
)
def test_every_way_to_import(source, names):
    assert _names(source) == names


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING"])
def test_what_only_a_type_checker_reads_does_not_count_but_what_stands_beside_it_does(condition):
    source = f"if {condition}:\n import c\n def f():\n  import d\nelif x:\n import e\nelse:\n import f\nimport g"
    assert _names(source) == {"e", "f", "g"}


def test_what_a_type_checker_does_not_read_counts():
    assert _names("if not TYPE_CHECKING:\n import c") == {"c"}


def test_a_script_has_nothing_that_an_import_could_be_relative_to():
    assert _names("from c import d", package="") == {"c.d"}
