"""A project as it was when a model was made: links to whole copies of outputs, and what git holds beside them."""

from __future__ import annotations

from contextlib import chdir, contextmanager
from typing import TYPE_CHECKING

from glassbox.paths import PARAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from glassbox.lineage.outputs import Output
    from glassbox.lineage.revision import Revision

#: What the code of a project is.
CODE = ("src/glassbox", "stages", "uv.lock")


@contextmanager
def view(folder: Path, revision: Revision, outputs: Iterable[Output]) -> Iterator[None]:
    """Works in a folder where every file that could be verified lies at its place in the project.

    So whoever reads an artifact there reads what was hashed, of whichever revision, from whichever copy.

    Args:
        folder: An empty one.
        revision: Whose code and parameters lie there.
        outputs: Those of which a whole copy is linked.
    """
    lay_out(folder, outputs)
    for source in (*CODE, str(PARAMS)):
        for name, content in revision.files(source).items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    with chdir(folder):
        yield


def lay_out(folder: Path, outputs: Iterable[Output]) -> None:
    """Links every file that could be verified at its place in a project at `folder`, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for output in outputs:
        if output.whole is not None:
            for name, path in output.whole.files.items():
                _link(folder / output.tracked.path / name, path)


def _link(target: Path, path: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path.absolute())
