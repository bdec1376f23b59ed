"""Which backend of Keras the models run on is nobody's business but `runtime`'s and `strategies`'."""

import ast
from pathlib import Path

from glassbox import networks, training

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


def test_tensorflow_is_imported_only_where_it_is_the_backend():
    paths = [path for room in (networks, training) for path in Path(room.__file__).parent.glob("*.py")]
    trees = {path.stem: ast.parse(path.read_text("utf-8")) for path in paths}
    found = {name: lines for name, tree in trees.items() if (lines := outside_the_guard(tree))}
    assert list(found) == [ITS_OWN], found
