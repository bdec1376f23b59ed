"""What lies in `metrics/` and belongs to nothing in params.yaml: left by a profile or a name that is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbox.params.document import METRICS_OF_DATA
from glassbox.paths import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from glassbox.params.document import Params


def strays(params: Params) -> list[Path]:
    """The entries of `metrics/`, and of its folders of data, that no parameter names, in order of name.

    Hidden files (`.gitignore`, a file that is being written) are nobody's results and are passed over.
    """
    known = {METRICS / experiment for experiment in params.experiments}
    known |= {METRICS / name for name in METRICS_OF_DATA}
    known |= {METRICS / "sources" / f"{source}.json" for source in params.sources}
    known |= {METRICS / "catalogs" / f"{source}.json" for source in params.sources}
    known |= {METRICS / "splits" / split for split in params.splits}
    known |= {METRICS / "grids" / grid for grid in params.grids}
    folders = (METRICS, *(METRICS / name for name in METRICS_OF_DATA))
    return sorted(entry for folder in folders for entry in _entries(folder) if entry not in known)


def _entries(folder: Path) -> Iterator[Path]:
    """The entries of a folder that are not hidden; none where there is no folder."""
    if folder.is_dir():
        yield from (entry for entry in folder.iterdir() if not entry.name.startswith("."))
