"""Which backend of Keras the models run on is nobody's business but `runtime`'s and `strategies`'."""

import ast
from pathlib import Path

import pytest

from glassbox import learning

MODULES = sorted(Path(learning.__file__).parent.glob("*.py"))
#: TensorFlow's own strategies are refused on another backend before it imports anything of it.
ITS_OWN = "strategies"
GUARD = "keras.backend.backend() == 'tensorflow'"


def outside_the_guard(node):
    """The imports of TensorFlow below a node that are not in `if keras.backend.backend() == "tensorflow"`."""
    if isinstance(node, ast.Import):
        found = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        found = [node.module or ""]
    else:
        found = []
    if any(name.partition(".")[0] == "tensorflow" for name in found):
        return [node.lineno]
    guarded = isinstance(node, ast.If) and ast.unparse(node.test) == GUARD
    children = node.orelse if guarded else ast.iter_child_nodes(node)
    return [line for child in children for line in outside_the_guard(child)]


@pytest.mark.parametrize("module", [path for path in MODULES if path.stem != ITS_OWN], ids=lambda path: path.stem)
def test_tensorflow_is_imported_only_where_it_is_the_backend(module):
    assert outside_the_guard(ast.parse(module.read_text(encoding="utf-8"))) == []


def test_tensorflow_is_named_for_deterministic_kernels_and_strategies_and_nowhere_else():
    naming = [path.stem for path in MODULES if "import tensorflow" in path.read_text(encoding="utf-8")]
    assert naming == ["runtime", ITS_OWN]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import tensorflow as tf", [1]),
        ("from tensorflow.keras import layers", [1]),
        ("def f():\n    import tensorflow", [2]),
        ("if keras.backend.backend() == 'tensorflow':\n    import tensorflow", []),
        ("if keras.backend.backend() == 'jax':\n    pass\nelse:\n    import tensorflow", [4]),
        ("if keras.backend.backend() == 'tensorflow':\n    pass\nelse:\n    import tensorflow", [4]),
        ("import keras", []),
    ],
)
def test_the_search_finds_what_it_searches_for(source, lines):
    assert outside_the_guard(ast.parse(source)) == lines
