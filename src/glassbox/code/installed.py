"""Whether what is installed is what was locked; a stage asks before it begins."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from glassbox.errors import GlassboxError

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(packages: Mapping[str, str]) -> None:
    """Refuses packages in other versions than the locked ones, whose outputs would pass for theirs.

    Args:
        packages: Name of a distribution -> its locked version.

    Raises:
        GlassboxError: One is missing, or is there in another version; all such are named.
    """
    others = {name: found for name, locked in packages.items() if (found := _version(name)) != locked}
    if others:
        raise GlassboxError(
            ", ".join(
                f"{name} {found} is installed" if found else f"{name} is not installed"
                for name, found in others.items()
            ),
            f"{', '.join(f'{name} {packages[name]}' for name in others)}, as locked in uv.lock",
            "run `uv sync`",
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
