"""Whether the code that runs is the code that lies in the project."""

from __future__ import annotations

from pathlib import Path

import glassbox
from glassbox.errors import GlassboxError


def refuse_foreign(root: Path) -> None:
    """Refuses to run another copy's modules, while the digests are those of this copy's.

    The project is installed as a link to one folder: what runs in a copy of that, as under `dvc exp run --temp`,
    imports the original.

    Args:
        root: The project's root.

    Raises:
        GlassboxError: `glassbox` was imported from elsewhere than `src/glassbox` of this root.
    """
    found, expected = Path(glassbox.__path__[0]).resolve(), (root / "src" / "glassbox").resolve()
    if found != expected:
        raise GlassboxError(
            f"the code that runs lies in {found.parent}",
            f"{expected.parent}, whose digests the stages depend on",
            "run it again with PYTHONPATH=src",
        )
