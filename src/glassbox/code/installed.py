"""Whether what runs is what the digests are of: the locked packages, and this project's own code.

A stage asks before it begins.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import glassbox
from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(packages: Mapping[str, str]) -> None:
    """Refuses packages (name -> locked version) that are there in others, whose outputs would pass for theirs.

    Raises:
        GlassboxError: One is missing, or is there in another version; all such are named.
    """
    others = {name: found for name, locked in packages.items() if (found := _version(name)) != locked}
    if others:
        raise GlassboxError(
            ", ".join(
                f"{name} {f'{found} is' if found else 'is not'} installed" for name, found in others.items()
            ),
            f"{', '.join(f'{name} {packages[name]}' for name in others)}, as locked in uv.lock",
            "run `uv sync`",
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def refuse_foreign(root: Path) -> None:
    """Refuses to run another copy's modules, while the digests are those of the project at `root`.

    The project is installed as a link to one folder: what runs in a copy of that, as under `dvc exp run --temp`,
    imports the original.

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
