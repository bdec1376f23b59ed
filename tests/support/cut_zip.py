"""An archive in NIH's layout without some of its films."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def without(images: Collection[str], archive: Path, target: Path) -> None:
    """Copies an archive but for some images and their rows in every table."""
    with zipfile.ZipFile(archive) as full, zipfile.ZipFile(target, "w") as cut:
        for member in full.infolist():
            content = full.read(member)
            if member.filename.endswith((".csv", ".txt")):
                lines = content.decode().splitlines(keepends=True)
                content = "".join(line for line in lines if line.split(",")[0].strip() not in images).encode()
            if member.filename.rpartition("/")[2] not in images:
                cut.writestr(member, content)
