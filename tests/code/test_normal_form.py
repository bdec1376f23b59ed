"""A digest says what a file does: not how it is written down, nor which Python reads it."""

from __future__ import annotations

import ast
import itertools
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from glassbox.code import normal_form
from glassbox.code.normal_form import digest, is_empty

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")

#: What Pythons write, cut or leave out in their own ways.
AWKWARD = [
    'f"{x:}"',
    'f"{x!r:>{w}}"',
    'f"{x:{w}.{p}}"',
    'f"{x:a{w}b}"',
    'f"{x=}"',
    'f"{ x = !r:>5}"',
    'f"{{{x}}} {{"',
    '"a" f"b{c}" "d" f""',
    '"" f"{x}" ""',
    'f""',
    'f"a" "b"',
    r'rf"\d{x}\w"',
    r'f"\x41{x}\u00e9{y:\x41}"',
    "f\"{'a'}{d['k']}\"",
    'f"{(lambda x: x)(1)}{*a, *b}"',
    'f"""\n{x}\n  {y:\n}"""',
    "'\\d'",
    'x = "\U0001fae8\\ud800\u212b"',
    "def f(a, /, b, *c, d=1, **e) -> int: ...",
    "def f(): pass",
    "class A(B, metaclass=C): 'only words'",
    "lambda *, a, b=1: {**a, 'b': 1}",
    "match x:\n case None: pass\n case {'a': 1, **r}: pass\n case [a, *_] | A(b=c): pass",
    "try: pass\nexcept* E: pass",
    "with (a as b, c): pass",
    "x: int\n(x): int = 3",
    "1e999, -0.0, 1e999j, 0xff, 1_000, ..., None, True",
    "x = " + "+".join(["a"] * 800),
    "x = " + "[" * 80 + "]" * 80,
    "x = 0x" + "f" * 9000,
    "x = \0",
    "def",
]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x   =   1  # one\n\n"),
        ("x = 1\ny = 2", "x = 1; y = 2"),
        ("x = 1\ny = 2\n", "x = 1\r\ny = 2\r\n"),
        ("x = (1 +\n  2)", "x = 1 + 2"),
        ("x = 'a'", 'x = """a"""'),
        ("x = u'a'", "x = 'a'"),
        ("x = 'a' 'b'", "x = 'ab'"),
        ("x = 0x10", "x = 16"),
        ("x = 1_0.0", "x = 1e1"),
        ("x = f'{a}'", "x = f'{a:}'"),
        ("x = f'a' f'b{c}'", "x = f'ab{c}'"),
        ("x = 1", '"""Words."""\nx = 1'),
        ("class A:\n x = 1", 'class A:\n "Words."\n x = 1'),
        ("def f():\n return 1", 'def f():\n "Words."\n return 1'),
        ("async def f():\n return 1", 'async def f():\n "Words."\n return 1'),
        ("def f():\n return 1", "def f():\n pass\n return 1"),
        ("def f(): pass", 'def f(): "Words."'),
    ],
)
def test_how_a_file_is_written_down_is_no_part_of_its_digest(one, other):
    assert digest(one.encode()) == digest(other.encode())


def test_a_declared_encoding_is_that_of_the_file():
    assert digest("# coding: latin-1\nx = 'é'".encode("latin-1")) == digest("x = 'é'".encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "y = 1"),
        ("x = a + b", "x = b + a"),
        ("x = a + b", "x = a - b"),
        ("x = a, (b, c)", "x = (a, b), c"),
        ("x = [a]", "x = (a,)"),
        ("x = [[], a]", "x = [[a]]"),
        ("f(a, b)", "f(a, *b)"),
        ("f(a=b)", "f(b=a)"),
        ("x: int = 1", "x: float = 1"),
        ("from a import b", "from .a import b"),
        ("import a.b", "import a.b as b"),
        ("if a: b\nelse: c", "if a: c\nelse: b"),
        ("if a: b\nc", "if a:\n b\n c"),
        ("if a:\n pass\nelse: b", "if a: b"),
        ("def f(a, b=1): ...", "def f(a=1, b=1): ..."),
        ("def f(*, a, b=1): ...", "def f(*, a=1, b): ..."),
        ("{**a, 'b': c}", "{'b': c, **a}"),
        ("@a\ndef f(): ...", "def f(): ..."),
        ("x = f'{a}'", "x = '{a}'"),
        ("x = f'{a!r}'", "x = f'{a}'"),
        ("x = f'{a:>3}'", "x = f'{a:>4}'"),
        ("x = f'{a}b'", "x = f'b{a}'"),
        ("def f(): 'Words.'", "def f(): ..."),
        ("def f(): 'Words.'", "def f(): return"),
        ("def f(): 'Words.'", "def f(): f'{words}'"),
        ("def f():\n 'Words.'\n 'More.'", "def f(): 'Words.'"),
        ("x = 1\n'Words.'", "x = 1"),
        ("def f():\n def g(): a\n b", "def f():\n def g():\n  a\n  b"),
    ],
)
def test_what_a_file_does_is(one, other):
    assert digest(one.encode()) != digest(other.encode())


def test_constants_that_are_equal_or_look_alike_differ():
    constants = (
        *(
            "1",
            "1.0",
            "True",
            "'1'",
            "b'1'",
            "1j",
            "'True'",
            "1e999",
            "1e999j",
            "'inf'",
            "...",
            "'...'",
            "Ellipsis",
        ),
        *("None", "'None'", "''", "b''", "0", "0.0", "-0.0", "False", "()", "[]", "0j"),
        *("'\\ud83d\\ude00'", "'\U0001f600'", "'a\\nb'", "'a\\\\nb'", "'é'", "'e\u0301'"),
    )
    for one, other in itertools.combinations(constants, 2):
        assert digest(f"x = {one}".encode()) != digest(f"x = {other}".encode()), (one, other)


@pytest.mark.parametrize("source", ["", "\n", "# Words.", '"""Words."""', '"""Words."""\n\n# More.\npass\n'])
def test_a_file_of_words_alone_is_empty(source):
    assert is_empty(source.encode())


@pytest.mark.parametrize("source", ["...", "x = 1", "f'words'", "'Words.'\n'More.'", "def", "import os"])
def test_any_other_is_not(source):
    assert not is_empty(source.encode())


def test_what_python_cannot_read_counts_by_its_bytes():
    assert digest(b"def") == digest(b"def")
    assert digest(b"def") != digest(b"def ")
    assert digest(b"\xff") != digest(b"\xfe")


def test_bytes_that_spell_a_tree_do_not_pass_for_it():
    assert digest(normal_form._form(b"x = 1").encode()) != digest(b"x = 1")


def test_code_nested_beyond_the_limits_has_a_digest():
    for source in (b"(" * 10_000 + b")" * 10_000, b"-" * 10_000 + b"1", b"x = 1" + b" + 1" * 10_000):
        assert len(digest(source)) == 64


def test_a_doubtful_escape_is_read_the_same_where_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strict = digest(rb"x = '\d'  # words")
    assert strict == digest(rb"x = '\d'")


def test_a_comment_or_a_docstring_more_changes_no_digest_of_this_project():
    for path in (ROOT / "src").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, normal_form._DOCUMENTED) and ast.get_docstring(node) is not None:
                node.body[0].value.value = "Other words."
        assert digest((source + "\n# More.").encode()) == digest(ast.unparse(tree).encode()), path


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_sees_the_same_in_every_file(version):
    python = _interpreter(version)
    if python is None:
        pytest.skip(f"NOT COMPARED: there is no Python {version} on this machine")
    sources = [*(path.read_text(encoding="utf-8") for path in _files()), *AWKWARD]
    assert len(sources) > 150
    command = (
        "import json, runpy, sys\n"
        f"digest = runpy.run_path({normal_form.__file__!r})['digest']\n"
        "sources = json.loads(sys.stdin.buffer.read())\n"
        "json.dump([digest(source.encode('utf-8', 'surrogatepass')) for source in sources], sys.stdout)\n"
    )
    done = subprocess.run(
        [python, "-I", "-c", command], input=json.dumps(sources), capture_output=True, text=True, check=True
    )
    here = [digest(source.encode("utf-8", "surrogatepass")) for source in sources]
    differing = [
        source[:80]
        for source, one, other in zip(sources, here, json.loads(done.stdout), strict=True)
        if one != other
    ]
    assert differing == []


def _files() -> list[Path]:
    return sorted(path for folder in ("src", "stages", "tests") for path in (ROOT / folder).rglob("*.py"))


def _interpreter(version: str) -> str | None:
    """A Python that starts: the name alone may be a shim of pyenv with nothing behind it."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [sys.executable, shutil.which(f"python{version}"), _of_uv(version)]
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in filter(None, candidates):
        command = [candidate, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.stdout.strip() == version:
            return candidate
    return None


def _of_uv(version: str) -> str | None:
    if (uv := shutil.which("uv")) is None:
        return None
    command = [uv, "python", "find", "--offline", "--no-project", version]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
